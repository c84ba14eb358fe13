"""One operation on a stack, from the lock to the history entry."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import click

from heliostat.cli import interrupts, say
from heliostat.cli.agreement import Agreement
from heliostat.cli.ahead import environment
from heliostat.cli.display import messages, report
from heliostat.cli.display.digest import DigestDisplay
from heliostat.cli.display.live import LiveDisplay
from heliostat.cli.display.plain import PlainDisplay
from heliostat.cli.display.pricing import PlannedPrice
from heliostat.cli.display.report import Look
from heliostat.cli.display.sturdy import Display, Sturdy
from heliostat.cli.exits import DeclinedError, Exit, UnexpectedChangesError, UsageError
from heliostat.cli.going_on import locked_for, note_what_goes_on
from heliostat.cli.plans import Plans
from heliostat.cli.remembering import AfterNote, Remembering
from heliostat.cli.session import Session, is_interactive, is_watched
from heliostat.engine.deployment import Kind, Options, SnapshotSink, Target, run
from heliostat.engine.events import Summary
from heliostat.engine.protocol.launching import Ahead
from heliostat.engine.state import checkpoint, history, locks
from heliostat.engine.state.backend import Checkpoints, StackOutputs
from heliostat.engine.state.checkpoint import Document
from heliostat.engine.state.graph import protected
from heliostat.engine.state.snapshot import OperationType

_TICK_S = 0.125
_TITLES = {
    "update": "Updating",
    "preview": "Previewing update",
    "refresh": "Refreshing",
    "destroy": "Destroying",
    "import": "Importing",
}
_NOUNS = {"update": "update", "refresh": "refresh", "destroy": "destroy", "import": "import"}
_RECORDED = {"import": "resource-import"}
"""Kinds that the history calls otherwise, as the CLI does."""


@dataclass(frozen=True)
class Request:
    """What a command asks for; `options` are the engine's."""

    kind: Kind
    options: Options
    look: Look
    yes: bool = False
    skip_preview: bool = False
    as_json: bool = False
    message: str = ""
    expect_no_changes: bool = False
    clear_pending_creates: bool = False
    confirm_deletes: bool = False
    """Whether to ask before what serves or holds data is deleted, `yes` or not."""
    exclude_protected: bool = False
    """Leave alone what is protected and what that needs, as the state has it before the operation."""
    save_plan: Path | None = None
    """Where what is planned is written to."""
    plan: Path | None = None
    """What the operation is held to."""
    strict: bool = False
    """Hold it to what its own preview showed."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Laid over the environment of the program and its plugins."""
    show_config: bool = False
    check_config: bool = True
    """Hold the config against what the project declares, where a program is to read it."""
    full_name: bool = False
    """The headline has the stack's full name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Further entries of the history's environment: by what the operation was started."""


def operate(session: Session, request: Request, ahead: Ahead | None = None) -> int:
    """Does what is asked and returns the exit code; errors of the command itself are raised.

    `ahead` is what was started for it already.
    """
    acts = request.kind != "preview" and not request.options.preview_only
    if acts and not (request.yes or request.skip_preview or is_interactive()):
        raise UsageError(
            "--yes or --skip-preview or --preview-only must be passed in to proceed when running in non-interactive mode"
        )
    lock = locked_for(session) if acts else nullcontext()
    with interrupts.as_ctrl_c(), lock:
        work = _Work(session, request, ahead or Ahead())
        result = work.whole()
    if result.goes_on:
        return Exit.TRY_LATER
    if not result.succeeded:
        return Exit.CANCELLED if result.cancelled else Exit.FAILED
    if request.expect_no_changes and messages.has_changes(result.changes):
        changes = messages.tally(result.changes, preview=not acts)
        raise UnexpectedChangesError(f"no changes were expected for this {request.kind}, but there are: {changes}")
    return Exit.OK


class _Work:
    """One operation, its stack locked where it acts."""

    def __init__(self, session: Session, request: Request, ahead: Ahead) -> None:
        self.session = session
        self.ahead = ahead
        self.request = request
        self.document: Document = session.state()
        self.values = session.merged_values(required=request.check_config and request.kind in {"update", "preview"})
        self.acts = request.kind != "preview" and not request.options.preview_only
        # a wrong passphrase has to show before anything is made, or told as if it could be
        if self.acts:
            self.crypter = session.crypter(self.document)
            self.crypter.verify()
        elif session.salt:
            session.place.keyring.of(session.salt).verify()
        self.previous = checkpoint.decode(self.document, session.place.keyring)
        self.options = request.options
        self.protected = protected(self.previous.resources) if request.exclude_protected else []
        if self.protected:
            left_alone = (*self.options.excludes, *(one.urn for one in self.protected))
            self.options = dataclasses.replace(self.options, excludes=left_alone)
        self.plans = Plans(session, self.document, self.values)
        if request.plan is not None:
            self.options = dataclasses.replace(self.options, plan=self.plans.read(request.plan))
        if request.save_plan is not None:
            # What a stand-in lets pass is not what the plugin will make of it.
            self.options = dataclasses.replace(self.options, planned=self.plans.new(), stand_in=False)
        self.target = self._target()

    def whole(self) -> Summary:
        """Preview, question, operation, history; or only what was asked for of these."""
        if self.protected and len(self.protected) == len(self.previous.resources):
            self._tell_protected("There were no unprotected resources to destroy.")
            return Summary(True, {}, 0.0)
        result = self._whole()
        if result.succeeded and self.protected:
            self._tell_protected("All unprotected resources were destroyed." if self.acts else "")
        return result

    def _tell_protected(self, text: str) -> None:
        if not self.request.as_json:
            still = f"There are still {len(self.protected)} protected resources associated with this stack."
            say.out(f"{text} {still}".strip())

    def _whole(self) -> Summary:
        if not self.acts:
            result = self._phase(self.request.kind, self.options, preview=True, snapshots=None)
            if result.succeeded and self.request.save_plan and self.options.planned:
                self.plans.write(self.request.save_plan, self.options.planned)
            return result
        if not self.request.skip_preview:
            seen = self._preview()
            if not seen.succeeded:
                return seen
        return self._act()

    def _preview(self) -> Summary:
        kind: Kind = "preview" if self.request.kind == "update" else self.request.kind
        # what follows needs the plugins that a preview alone could do without
        options = dataclasses.replace(self.options, preview_only=kind != "preview", stand_in=False)
        if self.request.strict:
            options = dataclasses.replace(options, planned=self.plans.new())
            self.options = dataclasses.replace(self.options, plan=options.planned)
        display = self._display(preview=True, silent=self.request.as_json)
        result = self._run(kind, options, display, None)
        if result.succeeded and not self.request.yes:
            self._confirm(display)
        return result

    def _confirm(self, display: Display) -> None:
        noun = _NOUNS[self.request.kind]
        if self.request.kind == "refresh":
            say.out("No resources will be modified as part of this refresh; just your stack's state will be.")
        while True:
            choices = click.Choice(["yes", "no", "details"])
            answer = click.prompt(f"\nDo you want to perform this {noun}?", type=choices, default="no")
            if answer == "yes":
                return
            if answer == "no":
                raise DeclinedError(f"confirmation declined, not proceeding with the {noun}")
            report.differences(say.console(), display.board, dataclasses.replace(self.request.look, preview=True))

    def _act(self) -> Summary:
        began = int(time.time())
        snapshots = Checkpoints(self.session.place.backend, self.session.ref, self.crypter, self.document)
        snapshots.begin(self.previous)
        if self.request.clear_pending_creates:
            kept = [op for op in self.previous.pending_operations if op.type != OperationType.CREATING]
            self.previous = dataclasses.replace(self.previous, pending_operations=kept)
            self.target = dataclasses.replace(self.target, previous=self.previous)
            snapshots.save(self.previous)
        result = Summary(False, {}, 0.0)  # stands where the engine raises
        session = self.session
        note = partial(note_what_goes_on, session, self.request.kind, self.options, self.request.plan)
        remembering = Remembering(session.place.backend, session.ref, self.request.kind, partial(self._entry, began), note)
        with ThreadPoolExecutor(1) as beside:
            begun = beside.submit(remembering.begin, partial(history.origin_of, session.project.root))
            try:
                noted = AfterNote(begun, snapshots)
                result = self._phase(self.request.kind, self.options, preview=False, snapshots=noted)
            finally:
                remembering.end(begun, result)
        return result

    def _entry(self, began: int, result: Summary, origin: history.Origin) -> history.Entry:
        parts = history.told(locks.myself(), self.options.targets, self.options.excludes)
        return history.Entry(
            kind=_RECORDED.get(self.request.kind, self.request.kind),
            start_time=began,
            end_time=int(time.time()),
            result=messages.result_of(result),
            changes={str(op): count for op, count in result.changes.items() if count},
            message=say.masker.text(self.request.message or origin.message),
            environment=say.masker.value({**origin.environment, **parts, **self.request.environment}),
            config=self.session.config.plain_values(),
        )

    def _phase(self, kind: Kind, options: Options, *, preview: bool, snapshots: SnapshotSink | None) -> Summary:
        return self._run(kind, options, self._display(preview=preview, silent=False), snapshots)

    def _run(self, kind: Kind, options: Options, display: Display, snapshots: SnapshotSink | None) -> Summary:
        preview = display.board.preview
        title = _TITLES[kind] if kind == "preview" or not preview else f"Previewing {kind}"
        name = self.session.ref.full_name if self.request.full_name else self.session.ref.name
        display.start(f"{title} ({name}):")
        if self.request.show_config:
            listed = [f"    {key}: {value}" for key, value in sorted(self.session.hidden_config(self.values).items())]
            display.notice("\n".join(["Configuration:", *listed]))
        result = None
        try:
            gc.freeze()  # modules and resources stay until the end: looking at them again finds nothing to collect
            result = asyncio.run(self._asynchronously(kind, options, display, snapshots))
            return result
        finally:
            display.stop(result)

    async def _asynchronously(self, kind: Kind, options: Options, display: Display, snapshots: SnapshotSink | None) -> Summary:
        cancel = asyncio.Event()
        if self.request.confirm_deletes:
            options = dataclasses.replace(options, agree=Agreement(display, cancel))
        stacks = StackOutputs(self.session.place.backend, self.session.project.name, self.session.place.keyring)
        with interrupts.in_order(cancel, _noticing(display, self.request.as_json)):
            ticker = asyncio.create_task(_tick(display))
            try:
                return await run(kind, self.target, options, display, snapshots, stacks, cancel)
            finally:
                ticker.cancel()

    def _target(self) -> Target:
        project = self.session.project
        config, secret_keys = self.session.program_config(self.values)
        return Target(
            project_name=project.name,
            stack_name=self.session.ref.name,
            project_root=project.root,
            main=project.main,
            previous=self.previous,
            config=config,
            config_secret_keys=secret_keys,
            runtime_options=project.runtime_options,
            plugins=project.plugins,
            environment=environment(self.session, self.request.variables),
            ahead=self.ahead,
            masker=say.masker,
        )

    def _display(self, *, preview: bool, silent: bool) -> Display:
        display = self._plain_display(preview=preview, silent=silent)
        if preview:
            display.board.price = PlannedPrice(each for each in self.previous.resources if not each.delete)
        return display

    def _plain_display(self, *, preview: bool, silent: bool) -> Display:
        look = dataclasses.replace(self.request.look, preview=preview)
        if self.request.as_json:
            olds = {resource.urn: resource for resource in self.previous.resources if not resource.delete}
            write: Callable[[str], None] = (lambda _: None) if silent else say.out
            return DigestDisplay(write, olds, self.session.hidden_config(self.values), say.masker, preview=preview)
        if is_watched():
            return Sturdy(LiveDisplay(say.console(), look))
        return Sturdy(PlainDisplay(say.console(), look))


def _noticing(display: Display, as_json: bool) -> Callable[[str], None]:
    return say.told if as_json else display.notice


async def _tick(display: Display) -> None:
    while True:
        display.tick()
        await asyncio.sleep(_TICK_S)
