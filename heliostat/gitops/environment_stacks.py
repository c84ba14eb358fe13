"""The stacks of environments: one is there before it is brought up, and all that is left of it goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heliostat.engine.config.project import Project
from heliostat.engine.config.stackconfig import StackConfig
from heliostat.engine.stackerrors import NotFoundError, PassphraseError
from heliostat.engine.state import locks
from heliostat.engine.state.backend import Backend, StackOutputs, StackRef
from heliostat.engine.state.secrets import Keyring, own_variable
from heliostat.gitops.commands import StackCommands
from heliostat.gitops.records import EnvironmentRecord, Records
from heliostat.gitops.settings import EnvironmentSettings
from heliostat.spec.platforms.exported import platform_in
from heliostat.systems.errors import PermanentError, RetryableError

_LOCKED_SECONDS: Final = 86_400.0
"""Nothing that is done to an environment takes so long: a lock of that age is of a job that was killed on another machine."""


@dataclass(frozen=True)
class EnvironmentStacks:
    """What is done to an environment's stack; each step done twice is as if done once."""

    project: Project
    backend: Backend
    keyring: Keyring
    settings: EnvironmentSettings
    commands: StackCommands
    clock: Callable[[], float]
    say: Callable[[str], None]
    patience: float
    """How many seconds to wait for whoever holds a stack."""
    sleep: Callable[[float], None]

    @property
    def records(self) -> Records:
        """What is known of each."""
        return Records(self.backend.bucket, self.project.name)

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """What a stack exports; nothing where there is none of that name.

        Raises:
            EngineError: the state does not say: nothing may be thought to be gone for that.
        """
        try:
            return StackOutputs(self.backend, self.project.name, self.keyring).outputs(stack)
        except NotFoundError:
            return {}

    def wait_for(self, name: str) -> None:
        """Of two jobs for one branch, the second one goes on when the first has ended."""
        stack, lost_before = StackRef(self.project.name, name).full_name, self.clock() - _LOCKED_SECONDS
        locks.wait_until_free(self.backend.bucket, stack, self.patience, self.say, self.sleep, lost_before=lost_before)

    def require_stack(self, record: EnvironmentRecord, is_known: bool) -> None:
        """Have a stack of its name, an empty one where there was none.

        Raises:
            PermanentError: there is one, and no environment that it is of; the record is gone again.
        """
        ref = self._ref(record)
        if self.backend.exists(ref):
            if not is_known:
                self.records.remove(record.name)
                raise PermanentError(
                    f"there is a stack {ref.name} that is no environment: rename the branch, or destroy the stack"
                )
            return
        config = StackConfig(self.config_file(record), self.project.name)
        with locks.locked(self.backend.bucket, ref.full_name, self.say):
            self.backend.create(ref, self.keyring.of(config.salt) if config.salt else None)

    def require_passphrase(self, config: Path, otherwise: str) -> None:
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

    def config_file(self, record: EnvironmentRecord) -> Path:
        """Its config, written anew: another checkout may have brought it up."""
        file = self._config_path(record)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(record.config, encoding="utf-8")
        return file

    def take_down(self, record: EnvironmentRecord) -> None:
        """Take an environment down, whole; nothing that makes it known again goes before all is gone.

        Raises:
            PassphraseError: it has resources, and its passphrase is missing, or another one; nothing was begun.
        """
        ref = self._ref(record)
        if left := self._left(ref):
            self.require_passphrase(self.config_file(record), f"{record.name} stays, with its {left} resource(s)")
        leaving = record.model_copy(update={"leaving": True})
        self.records.write(leaving)
        locks.release_older(self.backend.bucket, ref.full_name, self.clock() - _LOCKED_SECONDS, self.say)
        if left:
            self.commands.destroy(record.name, self.config_file(record))
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
