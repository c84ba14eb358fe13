"""Puts an operation together: the services that programs and plugins speak to, and the order of its parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import grpc

from heliostat.engine.errors import EngineError, Reported
from heliostat.engine.events import Diagnostic, Event, Outputs
from heliostat.engine.masking import Lines, watching
from heliostat.engine.monitor import Monitor, Place
from heliostat.engine.planning.deletes import delete_the_rest
from heliostat.engine.planning.flagged import Flagged
from heliostat.engine.planning.hooks import Hooks
from heliostat.engine.planning.importing import import_all
from heliostat.engine.planning.operation import Operation
from heliostat.engine.planning.planner import Planner
from heliostat.engine.planning.plans import Constraint
from heliostat.engine.planning.policies import Policies
from heliostat.engine.planning.refresh import refresh
from heliostat.engine.planning.registry import Registry
from heliostat.engine.planning.request import Kind, Options, Target
from heliostat.engine.planning.scope import Scope
from heliostat.engine.planning.unplugged import missing_plugins
from heliostat.engine.protocol.analyzers import StackFacts
from heliostat.engine.protocol.builtin import BuiltinProvider, StackReader
from heliostat.engine.protocol.callbacks import Callbacks
from heliostat.engine.protocol.engine_service import EngineService
from heliostat.engine.protocol.locating import PluginPlaces
from heliostat.engine.protocol.plugins import CHANNEL_OPTIONS, Surroundings
from heliostat.engine.protocol.program import Invocation, Program
from heliostat.engine.state.journal import Journal, SnapshotSink
from heliostat.engine.state.snapshot import Resource, Secret
from heliostat.engine.state.urns import ROOT_STACK_TYPE, make
from heliostat.pulumi_proto import engine_pb2_grpc, resource_pb2_grpc

PROGRAM_END_TIMEOUT_S = 30.0
"""How long a program that has declared all may take to end."""


class Session:
    """One run of one operation; `cancel` ends it in order."""

    def __init__(
        self,
        target: Target,
        options: Options,
        sink: Callable[[Event], None],
        snapshots: SnapshotSink | None,
        stacks: StackReader,
        *,
        preview: bool,
    ) -> None:
        self.target, self.options, self.preview = target, options, preview
        self.cancelled = self.aborted = False
        self._masker = self._config_secrets = target.masker
        self._sink: Callable[[Event], None] = lambda event: sink(self._masker.event(event))
        self._told_error = False
        self._program_says = Lines(self._masker, self._printed)
        self._plugins_say = Lines(self._masker, lambda line: self._sink(Diagnostic("info", line)))
        self._server = grpc.aio.server(options=[*CHANNEL_OPTIONS, ("grpc.so_reuseport", 0)])
        self._address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        around = Surroundings(
            self._address,
            target.main,
            {**target.environment, "PULUMI_PROJECT": target.project_name},
            options.plugin_start_timeout_s,
            self._plugins_say,
            target.ahead,
        )
        places = PluginPlaces.of(target.plugins, target.runtime_options, target.project_root, around.environment)
        builtin = BuiltinProvider(stacks, self._find)
        registry = Registry(places, around, builtin, preview, self._find_old, preview and options.stand_in)
        self._callbacks = Callbacks()
        self.op = Operation(
            preview=preview,
            journal=Journal(target.previous, snapshots),
            registry=registry,
            sink=self._sink,
            slots=asyncio.Semaphore(max(options.parallel, 1)),
            continue_on_error=options.continue_on_error,
            scope=Scope(options.targets, options.target_dependents, options.excludes, options.exclude_dependents),
            previous=target.previous.resources,
            hooks=Hooks(self._callbacks, preview, self._tell),
            ignore_protect=options.ignore_protect,
            agree=options.agree,
            planned=options.planned,
            constraint=Constraint(options.plan) if options.plan else None,
        )
        secret = set(target.config_secret_keys)
        self.planner = Planner(
            self.op,
            target.stack_name,
            target.project_name,
            options.replace,
            {key: Secret(value) if key in secret else value for key, value in target.config.items()},
        )
        self._flagged = Flagged(self.op, self.planner.claims)
        facts = StackFacts(
            target.organization, target.project_name, target.stack_name, preview, target.config, target.config_secret_keys
        )
        place = Place(target.project_name, target.stack_name, target.organization, target.project_root, target.main)
        self.monitor = Monitor(self.op, self.planner, place, self._callbacks)
        self._stack = make(
            target.stack_name, target.project_name, None, ROOT_STACK_TYPE, f"{target.project_name}-{target.stack_name}"
        )
        if options.policy_packs:
            self.planner.policies = Policies(self.op, options.policy_packs, facts, around, self._find, self._stack)

    def _tell(self, severity: str, message: str, urn: str) -> None:
        self._sink(Diagnostic(severity, message, urn))

    def _find(self, urn: str) -> Resource | None:
        return self.op.news.get(urn) or self.op.old(urn)

    def _find_old(self, urn: str) -> Resource | None:
        return self.op.old(urn)

    async def cancel(self) -> None:
        """Ends the operation in order."""
        self.cancelled = True
        self.op.halted.set()
        await self.op.registry.cancel()

    async def run(self, kind: Kind) -> None:
        """Runs the operation. What goes wrong in it is told, and marked in `op.errored`."""
        self._know_secrets()
        with watching(self._masker):
            await self._run(kind)
        if self.op.defects:
            raise self.op.defects[0]

    def _know_secrets(self) -> None:
        for key in self.target.config_secret_keys:
            self._masker.add(self.target.config.get(key))
        self._config_secrets = self._masker.copy()
        for resource in self.target.previous.resources:
            self._masker.add_all(resource.inputs)
            self._masker.add_all(resource.outputs)

    async def _run(self, kind: Kind) -> None:
        async with self._services():
            try:
                await self._parts(kind)
            except Reported:
                pass
            except EngineError as error:
                self.op.fail(str(error))
            finally:
                self.monitor.abort()
                await self.monitor.settled()
                # Also where the operation is aborted: what was done until then is on disk.
                await asyncio.shield(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        try:
            await self.op.journal.close()
        except EngineError as error:
            self.op.fail(f"the last changes of the state could not be written: {error}")

    @contextlib.asynccontextmanager
    async def _services(self) -> AsyncIterator[None]:
        engine_pb2_grpc.add_EngineServicer_to_server(EngineService(self._logged), self._server)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self.monitor, self._server)
        await self._server.start()
        self.op.registry.launch_ahead(self.target.previous.resources)
        try:
            yield
        finally:
            await self.op.registry.cancel()
            await self.op.registry.close()
            if self.planner.policies:
                await self.planner.policies.close()
            await self._callbacks.close()
            await self._server.stop(grace=None)
            for stream in (self._program_says, self._plugins_say):
                stream.flush()

    def _logged(self, diagnostic: Diagnostic) -> None:
        self._told_error = self._told_error or diagnostic.severity == "error"
        self._sink(diagnostic)

    async def _parts(self, kind: Kind) -> None:
        self._warn_of_pending_operations()
        with missing_plugins(self.op, kind):
            await self._part(kind)

    async def _part(self, kind: Kind) -> None:
        if kind in ("refresh", "destroy"):
            self._flagged.require("Target", self.options.targets)
            self._flagged.require("Excluded resource", self.options.excludes if kind == "refresh" else ())
            if await self._refreshed(always=kind == "refresh") and kind == "destroy":
                self._flagged.warn_of_excludes(self.options.excludes)
                await delete_the_rest(self.op, self.planner)
            return
        if kind == "import":
            await import_all(self.op, self.planner, self.options.imports)
            return
        try:
            await self._update()
        finally:
            await self._export()
        if self.planner.policies:
            await self.planner.policies.judge_stack()

    async def _refreshed(self, *, always: bool = False) -> bool:
        """Refreshes where that is wanted; whether the operation can go on."""
        if always or self.options.refresh:
            await refresh(self.op, counted=always)
        return not (self.op.errored or self.op.halted.is_set())

    async def _update(self) -> None:
        if self.planner.policies:
            self.planner.policies.begin()
        program = await Program.start(self._invocation(), self.monitor.RegisterResource, self._program_says)
        self.op.registry.ask = program.ask
        try:
            if not await self._refreshed():
                return
            self._flagged.require("Resource to replace", self.options.replace)
            if self.planner.policies:
                await self.planner.policies.ready()
            self.monitor.open.set()
            if await self._declared(program):
                self._flagged.require("Target", self.options.targets)
                self._flagged.warn_of_excludes(self.options.excludes)
                if not self.op.going:
                    # What goes on is to take the place of what is no longer declared: until then that has to serve.
                    await delete_the_rest(self.op, self.planner)
                self._require_all_planned()
                self.monitor.finished.set()
                await self._ended(program)
        finally:
            await program.stop()

    def _require_all_planned(self) -> None:
        if self.op.constraint is None or not self.op.is_whole or self.op.halted.is_set():
            return
        if unmet := self.op.constraint.unmet():
            raise EngineError("what was planned is not what there is to do:" + "".join(f"\n  {one}" for one in unmet))

    async def _declared(self, program: Program) -> bool:
        """Whether the program has declared all that it has to, and nothing on the way has ended the operation."""
        events = [asyncio.ensure_future(one) for one in (program.wait(), self.monitor.done.wait(), self.op.halted.wait())]
        try:
            await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event in events:
                event.cancel()
        if self.op.halted.is_set():
            if self._callbacks.used:
                # What is under way may yet call the program.
                await self.monitor.settled()
            await program.stop()
        elif events[0].done() and not events[0].cancelled():
            self._check_exit(int(events[0].result()))
        await self.monitor.settled()
        return not self.op.halted.is_set()

    async def _ended(self, program: Program) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROGRAM_END_TIMEOUT_S):
                self._check_exit(await program.wait())

    def _check_exit(self, code: int) -> None:
        if code:
            self.op.errored = True
            self.op.halted.set()
            if not self._told_error:
                self.op.tell("error", f"the program ended with exit code {code}", self._stack)

    async def _export(self) -> None:
        declared = self.monitor.stack_outputs
        stack = self.op.news.get(self._stack)
        if declared is None or stack is None:
            return
        # what a program took from a secret of the config without keeping it one is a secret all the same
        outputs = self._config_secrets.enclosed(declared)
        old = self.op.olds.get(self._stack)
        before = dict(old.outputs) if old else {}
        if not self.op.is_whole:
            outputs = {**before, **outputs}
        await self.monitor.set_outputs(self._stack, outputs)
        self._sink(Outputs(before, self.op.news[self._stack].outputs))

    def _printed(self, line: str) -> None:
        self._sink(Diagnostic("info", line, self._stack))

    def _invocation(self) -> Invocation:
        target = self.target
        return Invocation(
            project=target.project_name,
            stack=target.stack_name,
            organization=target.organization,
            project_root=target.project_root,
            main=target.main,
            monitor_address=self._address,
            engine_address=self._address,
            parallel=self.options.parallel,
            preview=self.preview,
            config=target.config,
            config_secret_keys=target.config_secret_keys,
            runtime_options=target.runtime_options,
            environment=target.environment,
            ahead=target.ahead,
        )

    def _warn_of_pending_operations(self) -> None:
        pending = self.target.previous.pending_operations
        if pending and not self.preview:
            listed = "\n".join(f"  * {one.resource.urn}, interrupted while {one.type}" for one in pending)
            self.op.tell(
                "warning",
                f"{len(pending)} operations of the run before were cut off:\n{listed}\nWhat became of "
                "them is not known. Where a resource was created after all, import it or remove it; `stack export` "
                "and `stack import` clear the list.",
            )
