"""The ResourceMonitor service: what a program declares, reads and calls comes in here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2

from heliostat.engine.errors import EngineError, ProviderError, Reported
from heliostat.engine.planning.goals import goal_of, position_of
from heliostat.engine.planning.operation import Operation, Stopped
from heliostat.engine.planning.planner import Planner, Registered, Result
from heliostat.engine.planning.transforms import Transforms
from heliostat.engine.planning.unplugged import register_opaque
from heliostat.engine.protocol.archives import with_hashes
from heliostat.engine.protocol.callbacks import CallbackError, Callbacks
from heliostat.engine.protocol.properties import from_struct, has_unknowns, to_struct
from heliostat.engine.protocol.unsupported import METHODS, refusal
from heliostat.engine.state.marked import has_contents
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.unreadable import complaint
from heliostat.engine.state.urns import ROOT_STACK_TYPE, Urn, make, type_of
from heliostat.pulumi_proto import provider_pb2, resource_pb2, resource_pb2_grpc

T = TypeVar("T")
RESULTS = {Result.SUCCESS: resource_pb2.SUCCESS, Result.FAIL: resource_pb2.FAIL, Result.SKIP: resource_pb2.FAIL}
FEATURES = {
    "secrets": resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    "resourceReferences": resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    "aliasSpecs": resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    "deletedWith": resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    "replaceWith": resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    "replacementTrigger": resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACEMENT_TRIGGER,
    # An SDK that does not find these features says that the CLI has to be updated; the engine says what to do.
    "parameterization": resource_pb2.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
    "stateMigrations": resource_pb2.RESOURCE_MONITOR_FEATURE_STATE_MIGRATIONS,
    "transforms": resource_pb2.RESOURCE_MONITOR_FEATURE_TRANSFORMS,
    "invokeTransforms": resource_pb2.RESOURCE_MONITOR_FEATURE_INVOKE_TRANSFORMS,
    "resourceHooks": resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
    "errorHooks": resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS,
}


@dataclass(frozen=True)
class Place:
    """Which stack a program runs for."""

    project: str
    stack: str
    organization: str
    project_root: Path
    main: Path


@dataclass
class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Hands registrations to the planner. Work that has begun goes on to its end even where the program is gone."""

    op: Operation
    planner: Planner
    place: Place
    callbacks: Callbacks
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Work may begin; the program starts while the state is refreshed yet."""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    """The program has declared all that it has to declare."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing is left to do, so that the program is not called any more."""
    transforms: Transforms = field(init=False)
    stack_outputs: dict[str, Any] | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.transforms = Transforms(self.callbacks)

    async def settled(self) -> None:
        """Returns when no registration is under way any more."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def abort(self) -> None:
        """Cancels what is under way."""
        for task in self._tasks:
            task.cancel()

    async def _work(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` apart from the call that asked for it. Where the operation ends instead, the call is never answered:
        the program is about to be ended, and an answer would only make it complain of that.
        """
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            work.close()
            raise
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._settled)
        try:
            return await asyncio.shield(task)
        except (Reported, Stopped, EngineError):
            await asyncio.Event().wait()
            raise

    def _settled(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, EngineError):
            self.op.fail(str(error))
        elif error and not isinstance(error, Reported | Stopped | ProviderError):
            self.op.fail(f"the engine failed: {type(error).__name__}: {error}")
            self.op.defects.append(error)

    async def GetDeploymentInfo(self, request: Any, context: Any) -> resource_pb2.DeploymentInfo:
        """What the operation is, and what this monitor can do."""
        return resource_pb2.DeploymentInfo(
            project=self.place.project,
            stack=self.place.stack,
            organization=self.place.organization,
            dryRun=self.op.preview,
            supportedFeatures=list(FEATURES.values()),
        )

    async def SupportsFeature(self, request: Any, context: Any) -> resource_pb2.SupportsFeatureResponse:
        """Whether this monitor can do what an SDK wants of it."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in FEATURES)

    async def RegisterResource(self, request: Any, context: Any) -> resource_pb2.RegisterResourceResponse:
        """A resource that the program wants."""
        stand_in = self.op.registry.stand_in_of_components(request.type) if request.remote else None
        await _refuse(context, refusal(request, ("remote",) if stand_in else ()))
        try:
            values = from_struct(request.object)
            if functions := self.transforms.of(request):
                parent, values = self.planner.goal(request.parent), await self._hashed(values)
                request, values = await self.transforms.registration(functions, request, values, parent)
            goal = goal_of(request, await self._hashed(values), self.place.project_root)
            goal = replace(goal, replacement_trigger=await self._hashed(goal.replacement_trigger))
        except CallbackError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, f"invoke transform: {error}")
        except EngineError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if stand_in:
            work = register_opaque(self.planner, goal, stand_in)
        else:
            work = self.planner.register(goal, version=request.version, url=request.pluginDownloadURL)
        registered = await self._work(work)
        if registered.result != Result.SUCCESS and not request.supportsResultReporting:
            await context.abort(grpc.StatusCode.INTERNAL, "resource registration failed")
        self.transforms.remember(registered.resource.urn, request)
        return self._answer(registered, request)

    async def _hashed(self, values: T) -> T:
        """Values of the program, with the digests of what is in their assets."""
        await self._require_readable(values)
        return await asyncio.to_thread(with_hashes, values, self.place.main) if has_contents(values) else values

    async def _require_readable(self, values: Any) -> None:
        """Ends the operation, and never answers, where the program uses a secret that cannot be decrypted."""
        if self.op.registry.builtin.read_others and (words := complaint(values)):
            self.op.fail(words)
            await asyncio.Event().wait()

    def _answer(self, registered: Registered, request: Any) -> resource_pb2.RegisterResourceResponse:
        resource, succeeded = registered.resource, registered.result == Result.SUCCESS
        outputs = resource.outputs if (request.custom or request.remote) and succeeded else {}
        if not request.supportsPartialValues:
            outputs = {key: value for key, value in outputs.items() if not has_unknowns(value)}
        return resource_pb2.RegisterResourceResponse(
            urn=resource.urn,
            id=resource.id if succeeded else "",
            unknown=registered.unknown,
            object=to_struct(outputs, secrets=request.acceptSecrets, references=request.acceptResources),
            result=RESULTS[registered.result],
        )

    async def ReadResource(self, request: Any, context: Any) -> resource_pb2.ReadResourceResponse:
        """A resource that the program wants to know of by its id."""
        await _refuse(context, refusal(request))
        registered = await self._work(self._read(request))
        succeeded = registered.result == Result.SUCCESS
        outputs = registered.resource.outputs if succeeded else {}
        return resource_pb2.ReadResourceResponse(
            urn=registered.resource.urn,
            id=registered.resource.id if succeeded else "",
            unknown=registered.unknown,
            properties=to_struct(outputs, secrets=request.acceptSecrets, references=request.acceptResources),
            result=RESULTS[registered.result],
        )

    async def _read(self, request: Any) -> Registered:
        urn = make(self.place.stack, self.place.project, request.parent, request.type, request.name)
        package = request.type.split(":", 1)[0]
        provider = request.provider or await self._default(package, request)
        return await self.planner.read(
            Resource(
                urn=urn,
                type=request.type,
                custom=True,
                id=request.id,
                inputs=from_struct(request.properties),
                parent=request.parent or None,
                provider=provider,
                dependencies=list(dict.fromkeys(request.dependencies)),
                external=True,
                additional_secret_outputs=list(request.additionalSecretOutputs),
                source_position=position_of(request.sourcePosition, self.place.project_root),
            )
        )

    async def Invoke(self, request: Any, context: Any) -> resource_pb2.ResourceInvokeResponse:
        """A function of a provider."""
        await _refuse(context, refusal(request))
        try:
            request, arguments = await self.transforms.invocation(request, from_struct(request.args))
            await self._require_readable(arguments)
            values, failures = await self._work(self._invoke(request, arguments))
        except CallbackError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except ProviderError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, f"invocation of {request.tok} returned an error: {error}")
        answer = resource_pb2.ResourceInvokeResponse(
            failures=[provider_pb2.CheckFailure(property=one.property, reason=one.reason) for one in failures],
            unknown=values is None,
        )
        if values is None:
            return answer
        keeps = request.acceptResources or request.tok == "pulumi:pulumi:getResource"
        getattr(answer, "return").CopyFrom(to_struct(values, references=keeps))
        return answer

    async def _invoke(self, request: Any, arguments: dict[str, Any]) -> Any:
        package = request.tok.split(":", 1)[0]
        reference = request.provider or await self._default(package, request)
        provider = await self.op.registry.provider(reference)
        return await provider.invoke(request.tok, arguments, self.op.preview)

    async def _default(self, package: str, request: Any) -> str:
        return await self.planner.defaults.reference(package, request.version, request.pluginDownloadURL)

    async def Call(self, request: Any, context: Any) -> Any:
        """Methods of components in plugins are not hosted here."""
        await _refuse(context, f"{request.tok}: {METHODS['Call']}")

    async def ExistsResource(self, request: Any, context: Any) -> Any:
        """Resources are looked up by reading them."""
        await _refuse(context, METHODS["ExistsResource"])

    async def RegisterPackage(self, request: Any, context: Any) -> Any:
        """Packages are the plugins that Pulumi.yaml names."""
        await _refuse(context, METHODS["RegisterPackage"])

    async def RegisterResourceOutputs(self, request: Any, context: Any) -> empty_pb2.Empty:
        """What a component, or the stack, exports."""
        try:
            outputs = await self._hashed(from_struct(request.outputs))
        except EngineError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if type_of(request.urn) == ROOT_STACK_TYPE:
            self.stack_outputs = outputs
        else:
            await self._work(self.set_outputs(request.urn, outputs))
        return empty_pb2.Empty()

    async def set_outputs(self, urn: Urn, outputs: dict[str, Any]) -> None:
        """Gives a component or the stack its outputs."""
        resource = self.op.news.get(urn)
        if self.op.is_whole:
            self._hold_outputs(urn, outputs)
        elif not self.op.preview:
            outputs = self._as_known(urn, outputs)
        if resource is not None and resource.outputs != outputs:
            changed = replace(resource, outputs=outputs)
            self.op.news[urn] = changed
            self.op.journal.swap(resource, changed)
            await self.op.journal.flush()
        if resource is not None:
            self.op.blame(await self.op.hooks.caught_up(self.op.news[urn]), urn)

    def _as_known(self, urn: Urn, outputs: dict[str, Any]) -> dict[str, Any]:
        """Exports in which what is of a resource that is not done is as it was before, or not there."""
        old = self.op.olds.get(urn)
        before = old.outputs if old else {}
        known = {key: value for key, value in outputs.items() if not has_unknowns(value)}
        return {key: known[key] if key in known else before[key] for key in outputs if key in known or key in before}

    def _hold_outputs(self, urn: Urn, outputs: dict[str, Any]) -> None:
        """Notes exports in the plan that is made, and raises Reported where they are none of the plan that there is."""
        old = self.op.olds.get(urn)
        before = old.outputs if old else {}
        if self.op.planned is not None:
            self.op.planned.plan_outputs(urn, before, outputs)
        if self.op.constraint is not None and (why := self.op.constraint.outputs_violation(urn, before, outputs)):
            raise self.op.violated(urn, why)

    async def RegisterStackTransform(self, request: Any, context: Any) -> empty_pb2.Empty:
        """A function for every registration from now on."""
        return await self._registered(lambda: self.transforms.register(request), context)

    async def RegisterStackInvokeTransform(self, request: Any, context: Any) -> empty_pb2.Empty:
        """A function for every call of a provider's function from now on."""
        return await self._registered(lambda: self.transforms.register(request, of_invokes=True), context)

    async def RegisterResourceHook(self, request: Any, context: Any) -> empty_pb2.Empty:
        """A function for before or after the steps of the resources that name it."""
        return await self._registered(lambda: self.op.hooks.register(request), context)

    async def RegisterErrorHook(self, request: Any, context: Any) -> empty_pb2.Empty:
        """A function for failed steps of the resources that name it."""
        return await self._registered(lambda: self.op.hooks.register(request), context)

    async def _registered(self, register: Callable[[], None], context: Any) -> empty_pb2.Empty:
        try:
            register()
        except CallbackError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
        return empty_pb2.Empty()

    async def SignalAndWaitForShutdown(self, request: Any, context: Any) -> empty_pb2.Empty:
        """The program has nothing more to declare; it waits as long as a function of its own may be called."""
        self.done.set()
        if self.callbacks.used:
            await self.finished.wait()
        return empty_pb2.Empty()


async def _refuse(context: Any, reason: str) -> None:
    """Ends a call that cannot be answered, if there is a reason not to."""
    if reason:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, reason)
