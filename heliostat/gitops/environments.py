"""Environments come up, are used, and go: what decides is in `expiry` and `template`, what acts is called from here.

A record is written before anything is made and removed after all is gone, and each step done twice is as if done once:
whatever is killed on the way, the next `up`, `down` or `sweep` goes on with it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliostat.engine.config.project import Project
from heliostat.engine.errors import EngineError
from heliostat.engine.state.backend import Backend, StackOutputs
from heliostat.engine.state.secrets import Keyring
from heliostat.gitops.commands import StackCommands, WorkGoesOnError
from heliostat.gitops.environment_stacks import EnvironmentStacks
from heliostat.gitops.expiry import why_it_goes
from heliostat.gitops.records import EnvironmentRecord, Records
from heliostat.gitops.settings import EnvironmentSettings
from heliostat.gitops.template import Templated, templated
from heliostat.gitops.usage import Uses
from heliostat.spec.addresses import ControllerAddress
from heliostat.spec.branch_environments import BranchEnvironment, environment_name
from heliostat.spec.platforms.exported import PLATFORM, no_platform
from heliostat.systems.errors import PermanentError, RetryableError

Say = Callable[[str], None]


class ProtectedError(PermanentError):
    """What was to go is protected."""


@dataclass(frozen=True)
class Swept:
    """What a sweep made of one environment."""

    name: str
    branch: str
    """Empty where nobody can tell."""
    why: str
    """Why it goes."""
    failure: str = ""
    """Why it did not; empty where it went, or only would have."""


@dataclass(frozen=True)
class Environments:
    """A project's environments.

    Raises PermanentError or EngineError from what acts; the text says what to do.
    """

    project: Project
    backend: Backend
    keyring: Keyring
    """The passphrase of the template, which that of each environment is."""
    settings: EnvironmentSettings
    commands: StackCommands
    count_requests: Callable[[ControllerAddress], Mapping[str, float]]
    clock: Callable[[], float]
    say: Say
    patience: float = 600.0
    """How many seconds to wait for whoever holds an environment's stack."""
    sleep: Callable[[float], None] = time.sleep

    @property
    def records(self) -> Records:
        """What is known of each."""
        return Records(self.backend.bucket, self.project.name)

    @property
    def _uses(self) -> Uses:
        return Uses(self.records, self.outputs, self.count_requests, self.clock, self.say)

    @property
    def _stacks(self) -> EnvironmentStacks:
        tools = (self.commands, self.clock, self.say, self.patience, self.sleep)
        return EnvironmentStacks(self.project, self.backend, self.keyring, self.settings, *tools)

    def find(self, wanted: str) -> EnvironmentRecord | None:
        """The environment of a branch, or of its own name; None where there is none."""
        return self.records.find(environment_name(wanted)) or self.records.named(wanted)

    def up(self, branch: str, commit: str, flags: Sequence[str]) -> EnvironmentRecord:
        """Bring a branch's environment to what its checkout declares; one that was on its way out goes first, whole.

        Raises:
            CommandFailedError: the update failed; run it again.
            PassphraseError: that of the template is missing, or another one; nothing was made.
            RetryableError: another job takes it down; run it again.
            NotFoundError: there is no stack that is to have its platform.
            PermanentError: there is no template, or it is none; a stack has the environment's name; its platform is not up.
        """
        self._stacks.wait_for(environment_name(branch))
        found = self.records.find(environment_name(branch))
        if found is not None and found.leaving:
            self.say(f"{found.name} was being taken down: that is finished first")
            self._stacks.take_down(found)
            found = None
        made = self._templated(BranchEnvironment(name=environment_name(branch), branch=branch))
        if found is not None and found.platform != made.platform:
            # Its record names one platform: what it has on another one would be nobody's.
            there = f"what it has on that of {found.platform} goes first"
            self.say(f"{found.name} moves to the platform of {made.platform}: {there}")
            self._stacks.take_down(found)
        elif found is None:
            self._stacks.require_passphrase(self.project.stack_file(self.settings.template), "nothing was made")
        record, is_known = self._noted(branch, commit, made)
        self._stacks.require_stack(record, is_known)
        self.say(f"{record.name}: the environment of {branch}, on the platform of {record.platform}")
        try:
            self._require_platform(record)
            self.commands.up(record.name, self._stacks.config_file(record), flags)
        except WorkGoesOnError as error:
            self.say(f"{error}: another `heliostat env up`, or `heliostat ci continue --environments`, once it has ended")
            return self._note(record, going=str(error))
        except (PermanentError, RetryableError, EngineError) as error:
            self._note(record, failure=str(error))
            raise
        return record

    def down(self, record: EnvironmentRecord) -> None:
        """Take an environment down, whole.

        Raises:
            ProtectedError: its branch is protected.
            PassphraseError: it has resources, and its passphrase is missing, or another one; nothing was begun.
        """
        if self.settings.protects(record.branch, record.name):
            raise ProtectedError(
                f"{record.name} is protected: take its branch {record.branch!r} out of `environments.protected` in "
                "heliostat.toml"
            )
        self._stacks.wait_for(record.name)
        # Whoever was waited for may have brought what is to go with it, or have taken it down.
        if (found := self.records.find(record.name)) is not None:
            self._stacks.take_down(found)

    def extend(self, record: EnvironmentRecord, seconds: float) -> EnvironmentRecord:
        """Have it stay for so long from now on, used or not."""
        return self.keep_until(record, self.clock() + seconds)

    def note_use(self, record: EnvironmentRecord) -> None:
        """Have it be used now, as by a request; nothing where it went meanwhile."""
        if (found := self.records.find(record.name)) is not None and not found.leaving:
            self.records.write(found.model_copy(update={"used": self.clock()}))

    def keep_until(self, record: EnvironmentRecord, moment: float) -> EnvironmentRecord:
        """Have it stay until then, Unix time, used or not; the same once more does nothing.

        Raises:
            PermanentError: it is gone, or is being taken down.
        """
        found = self.records.find(record.name)
        if found is None or found.leaving:
            how = "is gone" if found is None else "is being taken down"
            raise PermanentError(f"{record.name} {how}; `heliostat env up` makes it anew")
        later = found.model_copy(update={"kept_until": max(found.kept_until, moment)})
        self.records.write(later)
        return later

    def sweep(self, branches: Collection[str] | None, *, only_tell: bool, listed_at: float | None = None) -> list[Swept]:
        """Take down what is not used any more, or was cut off on its way out; one that fails holds up no other.

        `branches` are those that the remote had at `listed_at`, Unix time; by default now.
        """
        listed_at = self.clock() if listed_at is None else listed_at
        records, damaged = self.records.survey()
        swept = [Swept(each.name, "", "its record is damaged", each.told) for each in damaged]
        for each in damaged:
            self.say(f"{each.name}: {each.told}")
        for name, is_use_known in self._uses.note(records):
            # Each takes seconds to go: what was pushed or extended meanwhile counts.
            record = self.records.find(name)
            if record is None:
                continue
            known = branches if record.pushed <= listed_at else None
            why = why_it_goes(record, self.settings, known, self.clock(), is_use_known=is_use_known)
            if why is not None:
                failure = "" if only_tell else self._sweep_away(record, why)
                swept.append(Swept(record.name, record.branch, why, failure))
        return swept

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """What a stack exports; nothing where there is none of that name.

        Raises:
            EngineError: the state does not say: nothing may be thought to be gone for that.
        """
        return self._stacks.outputs(stack)

    # What acts

    def _templated(self, environment: BranchEnvironment) -> Templated:
        file = self.project.stack_file(self.settings.template)
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PermanentError(
                f"cannot read the template of environments, {file}: {error}; write it, or name another stack's config in "
                "`environments.template` of heliostat.toml"
            ) from None
        return templated(text, str(file), environment)

    def _sweep_away(self, record: EnvironmentRecord, why: str) -> str:
        """Take one down; why that failed, empty where it is gone."""
        self.say(f"{record.name}: {why}")
        try:
            self._stacks.take_down(record)
        except (PermanentError, RetryableError, EngineError) as error:
            self.say(f"{record.name}: it stays until the next sweep: {error}")
            return str(error)
        return ""

    def _noted(self, branch: str, commit: str, made: Templated) -> tuple[EnvironmentRecord, bool]:
        """Its record, and whether there was one."""
        now, found = self.clock(), self.records.find(environment_name(branch))
        if found is not None and found.leaving:
            raise RetryableError(f"{found.name} is being taken down by another job: run it again, and it comes up anew")
        before = found or EnvironmentRecord(
            name=environment_name(branch), branch=branch, template="", platform="", made=now, used=now, idle_seconds=0.0
        )
        changes = {
            "template": self.settings.template,
            "platform": made.platform,
            "commit": commit,
            "pushed": now,
            "used": now,
            "idle_seconds": self.settings.idle_seconds,
            "workloads": tuple(sorted({*before.workloads, *made.workloads})),
            "batches": tuple(sorted({*before.batches, *made.batches})),
            "sample": made.sample,
            "config": made.text,
            "failure": "",
            "going": "",
        }
        record = before.model_copy(update=changes)
        self.records.write(record)
        return record, found is not None

    def _require_platform(self, record: EnvironmentRecord) -> None:
        outputs = StackOutputs(self.backend, self.project.name, self.keyring).outputs(record.platform)
        if not outputs.get(PLATFORM):
            raise PermanentError(no_platform(record.platform))

    def _note(self, record: EnvironmentRecord, **said: str) -> EnvironmentRecord:
        """For the comment, which a later step of the job writes. What cannot be noted is not why the job fails."""
        with contextlib.suppress(EngineError, PermanentError, RetryableError):
            # Somebody may have extended it meanwhile, or taken it down.
            if (found := self.records.find(record.name)) is not None:
                self.records.write(found.model_copy(update=said))
        return record.model_copy(update=said)
