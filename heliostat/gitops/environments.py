"""Environments come up, are used, and go: what decides is in `expiry` and `template`, what acts is called from here.

A record is written before anything is made and removed after all is gone, and each step done twice is as if done once:
whatever is killed on the way, the next `up`, `down` or `sweep` goes on with it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heliostat.engine.config.project import Project
from heliostat.engine.config.stackconfig import StackConfig
from heliostat.engine.errors import EngineError
from heliostat.engine.stackerrors import NotFoundError, PassphraseError
from heliostat.engine.state import locks
from heliostat.engine.state.backend import Backend, StackOutputs, StackRef
from heliostat.engine.state.secrets import Keyring, own_variable
from heliostat.gitops.commands import StackCommands, WorkGoesOnError
from heliostat.gitops.expiry import why_it_goes
from heliostat.gitops.records import EnvironmentRecord, Records
from heliostat.gitops.settings import EnvironmentSettings
from heliostat.gitops.template import Templated, templated
from heliostat.gitops.usage import Uses
from heliostat.spec.addresses import ControllerAddress
from heliostat.spec.branch_environments import BranchEnvironment, environment_name
from heliostat.spec.platforms.exported import PLATFORM, no_platform, platform_in
from heliostat.systems.errors import PermanentError, RetryableError

Say = Callable[[str], None]
_LOCKED_SECONDS: Final = 86_400.0
"""Nothing that is done to an environment takes so long: a lock of that age is of a job that was killed on another machine."""


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
        self._wait_for(environment_name(branch))
        found = self.records.find(environment_name(branch))
        if found is not None and found.leaving:
            self.say(f"{found.name} was being taken down: that is finished first")
            self._take_down(found)
            found = None
        made = self._templated(BranchEnvironment(name=environment_name(branch), branch=branch))
        if found is not None and found.platform != made.platform:
            # Its record names one platform: what it has on another one would be nobody's.
            there = f"what it has on that of {found.platform} goes first"
            self.say(f"{found.name} moves to the platform of {made.platform}: {there}")
            self._take_down(found)
        elif found is None:
            self._require_passphrase(self.project.stack_file(self.settings.template), "nothing was made")
        record, is_known = self._noted(branch, commit, made)
        self._require_stack(record, is_known)
        self.say(f"{record.name}: the environment of {branch}, on the platform of {record.platform}")
        try:
            self._require_platform(record)
            self.commands.up(record.name, self._config_file(record), flags)
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
        self._wait_for(record.name)
        # Whoever was waited for may have brought what is to go with it, or have taken it down.
        if (found := self.records.find(record.name)) is not None:
            self._take_down(found)

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
        try:
            return StackOutputs(self.backend, self.project.name, self.keyring).outputs(stack)
        except NotFoundError:
            return {}

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
            self._take_down(record)
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

    def _require_stack(self, record: EnvironmentRecord, is_known: bool) -> None:
        ref = self._ref(record)
        if self.backend.exists(ref):
            if not is_known:
                self.records.remove(record.name)
                raise PermanentError(
                    f"there is a stack {ref.name} that is no environment: rename the branch, or destroy the stack"
                )
            return
        config = StackConfig(self._config_file(record), self.project.name)
        with locks.locked(self.backend.bucket, ref.full_name, self.say):
            self.backend.create(ref, self.keyring.of(config.salt) if config.salt else None)

    def _note(self, record: EnvironmentRecord, **said: str) -> EnvironmentRecord:
        """For the comment, which a later step of the job writes. What cannot be noted is not why the job fails."""
        with contextlib.suppress(EngineError, PermanentError, RetryableError):
            # Somebody may have extended it meanwhile, or taken it down.
            if (found := self.records.find(record.name)) is not None:
                self.records.write(found.model_copy(update=said))
        return record.model_copy(update=said)

    def _wait_for(self, name: str) -> None:
        """Of two jobs for one branch, the second one goes on when the first has ended."""
        stack, lost_before = StackRef(self.project.name, name).full_name, self.clock() - _LOCKED_SECONDS
        locks.wait_until_free(self.backend.bucket, stack, self.patience, self.say, self.sleep, lost_before=lost_before)

    def _require_passphrase(self, config: Path, otherwise: str) -> None:
        """Have the passphrase of a stack's config at hand, before anything is begun that cannot end without it.

        Raises:
            PassphraseError: it is missing, or another one.
        """
        salt = StackConfig(config, self.project.name).salt
        try:
            if salt:
                self.keyring.of(salt).verify()
        except PassphraseError as error:
            template = self.settings.template
            variable = own_variable(template)
            raise PassphraseError(
                f"{error}. It is that of the environments' template, the stack config {template!r}: have it in {variable}, or "
                f"as `{template}` of [passphrases] in heliostat.toml; {otherwise}"
            ) from None

    def _take_down(self, record: EnvironmentRecord) -> None:
        ref = self._ref(record)
        if left := self._left(ref):
            self._require_passphrase(self._config_file(record), f"{record.name} stays, with its {left} resource(s)")
        leaving = record.model_copy(update={"leaving": True})
        self.records.write(leaving)
        locks.release_older(self.backend.bucket, ref.full_name, self.clock() - _LOCKED_SECONDS, self.say)
        if left:
            self.commands.destroy(record.name, self._config_file(record))
        # Also where the stack is gone: whoever was killed while he removed it left his lock, which this one clears.
        with locks.locked(self.backend.bucket, ref.full_name, self.say):
            if self._is_still_going(record):
                self._remove_all_of(record, ref)
        # As long as anything is left, a lock too, it is known.
        if self._is_still_going(record):
            # Their number grows with the branches that ever were; none of them is ever gone back to.
            self.backend.remove_copies(ref)
            self._config_path(record).unlink(missing_ok=True)
            self.records.remove(record.name)

    def _left(self, ref: StackRef) -> int:
        """How many resources a stack has, or may have; a stack of none goes without its passphrase."""
        if not self.backend.exists(ref):
            return 0
        deployment = self.backend.read(ref).deployment or {}
        return len(deployment.get("resources") or []) + len(deployment.get("pending_operations") or [])

    def _is_still_going(self, record: EnvironmentRecord) -> bool:
        """Whether nobody finished a `down` meanwhile, as an `up` of the same branch does before it makes it anew."""
        found = self.records.find(record.name)
        if found is not None and (found.leaving, found.made) == (True, record.made):
            return True
        if found is not None:
            self.say(f"{record.name} was made anew meanwhile, and stays")
        return False

    def _remove_all_of(self, record: EnvironmentRecord, ref: StackRef) -> None:
        """What is left of it when its resources are gone; whoever calls it holds the stack."""
        # Whoever only brings one up does without what reaches stores and MLflow: half of the imports.
        from heliostat.gitops.leftovers import remove_leftovers

        remove_leftovers(record, self._platform(record), keep_runs=self.settings.keep_runs)
        if self.backend.exists(ref):
            left = (self.backend.read(ref).deployment or {}).get("resources") or []
            if left:
                raise RetryableError(
                    f"{ref.name} has {len(left)} resources again: somebody brought it up meanwhile; run it again"
                )
            self.backend.remove(ref)

    def _platform(self, record: EnvironmentRecord) -> Mapping[str, Any]:
        return platform_in(self.outputs(record.platform))

    def _ref(self, record: EnvironmentRecord) -> StackRef:
        return StackRef(self.project.name, record.name)

    def _config_path(self, record: EnvironmentRecord) -> Path:
        return self.project.root / ".heliostat" / "environments" / f"Pulumi.{record.name}.yaml"

    def _config_file(self, record: EnvironmentRecord) -> Path:
        """Its config, written anew: another checkout may have brought it up."""
        file = self._config_path(record)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(record.config, encoding="utf-8")
        return file
