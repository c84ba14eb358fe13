"""Pulumi's provider protocol over the handlers: what every resource has in common, so that a handler says only its own."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import empty_pb2, struct_pb2

from heliostat import __version__
from heliostat.provider import checks, differences, failures, registry
from heliostat.provider.properties import UNKNOWN, Properties, carried, decode, encode, text_of
from heliostat.provider.reports import Reporter, Reports
from heliostat.provider.resource import Context, Handler, PartialError, PermanentError, RetryableError
from heliostat.provider.switches import refuse_delete
from heliostat.pulumi_proto import plugin_pb2, provider_pb2_grpc
from heliostat.pulumi_proto import provider_pb2 as pb
from heliostat.spec.base import Model
from heliostat.systems.errors import NoAccessError

_OF_THE_ENGINE = ("version", "pluginDownloadURL", "pluginChecksums", "parameterization", "__internal")
"""Keys of a provider's configuration that engines read themselves. All others are the stack's config, which has the same
namespace as this plugin and is read by the program."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Call:
    """One call about one resource."""

    handler: Handler[Any, Any]
    context: Context
    reports: Reports
    urn: str
    grpc: grpc.aio.ServicerContext[Any, Any]


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The plugin `heliostat`."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._cancelled = asyncio.Event()

    async def Handshake(self, request: Any, context: Any) -> pb.ProviderHandshakeResponse:
        """Learn where the engine is. A resource that is an input comes as its id, which is a text like any other."""
        if request.engine_address:
            self._reporter.attach(request.engine_address)
        return pb.ProviderHandshakeResponse(accept_secrets=True)

    async def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Learn where the engine is, as a plugin that ran before it."""
        self._reporter.attach(request.address)
        return empty_pb2.Empty()

    async def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        """The library's version."""
        return plugin_pb2.PluginInfo(version=__version__)

    async def GetSchema(self, request: Any, context: Any) -> pb.GetSchemaResponse:
        """All resource types, made from their models."""
        from heliostat.provider.schema import schema_text

        return pb.GetSchemaResponse(schema=await asyncio.to_thread(schema_text))

    async def GetMapping(self, request: Any, context: Any) -> pb.GetMappingResponse:
        """None: nothing is converted to this provider."""
        return pb.GetMappingResponse()

    async def GetMappings(self, request: Any, context: Any) -> pb.GetMappingsResponse:
        """None."""
        return pb.GetMappingsResponse()

    async def CheckConfig(self, request: Any, context: Any) -> pb.CheckResponse:
        """The provider has no configuration of its own; the stack's is not for it, and not for the state."""
        kept = {key: value for key, value in request.news.fields.items() if key in _OF_THE_ENGINE}
        return pb.CheckResponse(inputs=struct_pb2.Struct(fields=kept))

    async def DiffConfig(self, request: Any, context: Any) -> pb.DiffResponse:
        """Nothing that could differ."""
        return pb.DiffResponse(changes=pb.DiffResponse.DIFF_NONE)

    async def Configure(self, request: Any, context: Any) -> pb.ConfigureResponse:
        """What this plugin understands."""
        return pb.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Stop waiting; comes at every normal end too, so nothing is undone."""
        self._cancelled.set()
        return empty_pb2.Empty()

    async def Invoke(self, request: Any, context: Any) -> NoReturn:
        """There are no functions."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"heliostat has no function {request.tok}")
        raise AssertionError

    async def Call(self, request: Any, context: Any) -> NoReturn:
        """There are no methods."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"heliostat has no method {request.tok}")
        raise AssertionError

    async def Check(self, request: Any, context: Any) -> pb.CheckResponse:
        """Validate, and fill in defaults; every mistake at once."""
        given = decode(request.news)
        async with self._call(request, context, given) as call:
            values, mistakes = checks.check(call.handler.inputs, given)
            if not mistakes:
                found, unread = await call.handler.resolved_inputs(values)
                values, mistakes = dict(found), [*await call.handler.mistakes(values), *unread]
            if mistakes:
                return pb.CheckResponse(failures=[pb.CheckFailure(property=m.path, reason=m.reason) for m in mistakes])
            return pb.CheckResponse(inputs=encode(carried(values, given)))

    async def Diff(self, request: Any, context: Any) -> pb.DiffResponse:
        """What differs, where, and what of it needs a replacement."""
        old, new, outputs = decode(request.old_inputs), decode(request.news), decode(request.olds)
        async with self._call(request, context, old, new) as call:
            skipped = _insignificant(call.handler, old, new)
            actual = checks.normal(call.handler.outputs, outputs)
            found = differences.differences(_normal(call.handler, old), _normal(call.handler, new), actual)
            found = differences.without(found, skipped, request.ignoreChanges)
            return _diff_response(call.handler, found)

    async def Create(self, request: Any, context: Any) -> pb.CreateResponse:
        """Make it, or tell what making it would give."""
        given = decode(request.properties)
        async with self._call(request, context, given) as call:
            if request.preview:
                return pb.CreateResponse(properties=encode(await _previewed(call, None, given)))
            inputs = checks.parsed(call.handler.inputs, given.values, "the declaration")
            try:
                created = await _within(call.context, call.handler.create(call.context, inputs))
            except PartialError as error:
                await self._abort_partial(call, error, given)
            return pb.CreateResponse(id=created.identifier, properties=encode(_outputs(call.handler, created.outputs, given)))

    async def Update(self, request: Any, context: Any) -> pb.UpdateResponse:
        """Change it in place, or tell what that would give."""
        old, given = decode(request.olds), decode(request.news)
        async with self._call(request, context, old, given) as call:
            if request.preview:
                return pb.UpdateResponse(properties=encode(await _previewed(call, old, given)))
            before = checks.parsed(call.handler.outputs, old.values, "the state")
            inputs = checks.parsed(call.handler.inputs, given.values, "the declaration")
            try:
                after = await _within(call.context, call.handler.update(call.context, request.id, before, inputs))
            except PartialError as error:
                await self._abort_partial(call, error, given)
            return pb.UpdateResponse(properties=encode(_outputs(call.handler, after, given)))

    async def Read(self, request: Any, context: Any) -> pb.ReadResponse:
        """What the world has: nothing where it is gone; without a state, what the id alone names."""
        state, inputs = decode(request.properties), decode(request.inputs)
        async with self._call(request, context, state, inputs) as call:
            if state.values:
                outputs = checks.parsed(call.handler.outputs, state.values, "the state")
                found = await _within(call.context, call.handler.read(call.context, request.id, outputs))
                if found is None and call.handler.gone:
                    call.context.info(call.handler.gone)
            else:
                found = await _within(call.context, call.handler.imported(call.context, request.id))
            if found is None:
                return pb.ReadResponse()
            source = Properties({**inputs.values, **state.values}, inputs.secrets | state.secrets)
            values = _inputs_of(call.handler, checks.dumped(found), inputs.values if state.values else None)
            declared, known = encode(carried(values, source)), encode(_outputs(call.handler, found, source))
            return pb.ReadResponse(id=request.id, inputs=declared, properties=known)

    async def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Remove it."""
        state = decode(request.properties)
        async with self._call(request, context, state) as call:
            refuse_delete(os.environ, _token(request))
            outputs = checks.parsed(call.handler.outputs, state.values, "the state")
            await _within(call.context, call.handler.delete(call.context, request.id, outputs))
            return empty_pb2.Empty()

    @asynccontextmanager
    async def _call(self, request: Any, context: Any, *properties: Properties) -> AsyncIterator[_Call]:
        """The call's handler and context; errors leave it as one clear message, after all that was told before."""
        hidden = frozenset().union(*(p.secret_texts for p in properties))
        reports = self._reporter.about(request.urn, hidden)
        timeout = getattr(request, "timeout", 0.0) or None
        told = Context(request.urn, reports.progress, reports.info, reports.warn, self._cancelled, timeout)
        try:
            yield _Call(_handler(_token(request)), told, reports, request.urn, context)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception as error:
            message = self._message(error, reports, request.urn)
            await self._reporter.flush()
            text = failures.for_any_engine(error, message)
            await context.abort(failures.status_of(error), text, failures.metadata_of(error, message))
        finally:
            await self._reporter.flush()

    def _message(self, error: BaseException, reports: Reports, urn: str) -> str:
        if failures.is_expected(error) or isinstance(error, PartialError):
            return reports.redacted(str(error))
        text = reports.redacted("".join(traceback.format_exception(error)))
        failures.write_log(urn, text)
        reports.debug(text)
        return reports.redacted(failures.unexpected(error))

    async def _abort_partial(self, call: _Call, error: PartialError, given: Properties) -> NoReturn:
        """Fail, and have the engine keep what exists."""
        message = call.reports.redacted(str(error))
        failed = pb.ErrorResourceInitFailed(
            id=error.identifier,
            properties=encode(_outputs(call.handler, error.outputs, given)),
            inputs=encode(given),
            reasons=[message],
        )
        code = grpc.StatusCode.UNKNOWN
        await self._reporter.flush()
        await call.grpc.abort(code, message, failures.details(code.value[0], message, failed))
        raise AssertionError


def _token(request: Any) -> str:
    return str(request.type or request.urn.split("::")[2].rsplit("$", 1)[-1])


def _handler(token: str) -> Handler[Any, Any]:
    if token not in registry.HANDLERS:
        known = ", ".join(sorted(registry.HANDLERS))
        raise PermanentError(f"heliostat has no resource type {token}; it has {known}")
    return registry.handler_of(token)


async def _within(context: Context, work: Awaitable[T]) -> T:
    """The work's result, in the time that the program gave it."""
    try:
        async with asyncio.timeout(context.timeout_seconds) as limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        given = f"{context.timeout_seconds:g} s, its custom timeout"
        raise RetryableError(f"not done after {given}; run it again to go on, or give it longer") from None


async def _previewed(call: _Call, old: Properties | None, given: Properties) -> Properties:
    """The outputs as far as they can be told, after the handler has told its own."""
    checks.require_all(call.handler.inputs, given)
    inputs = checks.is_known(call.handler.inputs, given)
    told = inputs or checks.is_known(call.handler.inputs, _supposing(call.handler, given))
    before = checks.is_known(call.handler.outputs, old) if old else None
    known = {_alias(call.handler, name): value for name, value in call.handler.early_outputs(given.values).items()}
    if told is not None and (before is not None or old is None):
        try:
            await _within(call.context, call.handler.preview(call.context, before, told))
        except NoAccessError as error:
            # A plan can be made without; what acts fails by the same error.
            call.context.warn(f"could not be looked at: {error}; what comes of it is not known")
    if inputs is not None and (before is not None or old is None):
        known |= {_alias(call.handler, name): value for name, value in call.handler.preview_outputs(before, inputs).items()}
    values = dict.fromkeys(_names(call.handler.outputs) - _names(call.handler.inputs), UNKNOWN)
    return carried({**values, **given.values, **known}, given)


def _supposing(handler: Handler[Any, Any], given: Properties) -> Properties:
    stand_ins = {_alias(handler, name): value for name, value in handler.preview_placeholders.items()}
    values = {key: stand_ins.get(key, value) if value == UNKNOWN else value for key, value in given.values.items()}
    return Properties(values, given.secrets)


def _outputs(handler: Handler[Any, Any], outputs: Model, given: Properties) -> Properties:
    found = carried(checks.dumped(outputs), given)
    return Properties(found.values, found.secrets | {(_alias(handler, name),) for name in handler.secret_outputs})


def _inputs_of(handler: Handler[Any, Any], outputs: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """The inputs that `outputs` are of. What was left open `before` stays open, whatever was chosen for it."""
    names = _names(handler.inputs)
    return {key: value for key, value in outputs.items() if key in names and (not before or key in before)}


def _normal(handler: Handler[Any, Any], properties: Properties) -> dict[str, Any]:
    return checks.check(handler.inputs, properties)[0]


def _insignificant(handler: Handler[Any, Any], old: Properties, new: Properties) -> set[str]:
    before, after = checks.is_known(handler.inputs, old), checks.is_known(handler.inputs, new)
    if before is None or after is None:
        return set()
    return {_alias(handler, name) for name in handler.insignificant_inputs(before, after)}


def _names(model: type[Model]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _alias(handler: Handler[Any, Any], name: str) -> str:
    return handler.outputs.model_fields[name].alias or name


def _diff_response(handler: Handler[Any, Any], found: list[differences.Difference]) -> pb.DiffResponse:
    kinds = pb.PropertyDiff.Kind
    replacing = {_alias(handler, name) for name in handler.replace_on}
    detailed, replaces = {}, []
    for difference in found:
        path, kind = text_of(difference.path), difference.kind.value
        if difference.path[0] in replacing:
            replaces.append(path)
            kind = f"{kind}_REPLACE"
        detailed[path] = pb.PropertyDiff(kind=kinds.Value(kind), inputDiff=difference.of_inputs)
    return pb.DiffResponse(
        changes=pb.DiffResponse.DIFF_SOME if found else pb.DiffResponse.DIFF_NONE,
        replaces=replaces,
        diffs=list(dict.fromkeys(str(difference.path[0]) for difference in found)),
        detailedDiff=detailed,
        hasDetailedDiff=bool(detailed),
        deleteBeforeReplace=bool(replaces) and handler.delete_before_replace,
    )
