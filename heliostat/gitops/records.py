"""What is known of each environment, beside the stacks' state: a file each, written before anything is made.

So whatever was cut off half way is found again: an environment is there from its record's first writing to its deletion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from heliostat.engine.state.bucket import Bucket
from heliostat.spec.base import Model
from heliostat.spec.branch_environments import name_in
from heliostat.spec.formatting import counted
from heliostat.systems.errors import PermanentError

_FOLDER: Final = ".heliostat/environments"


class EnvironmentRecord(Model):
    """One branch's environment. Times are seconds since 1970."""

    name: str
    """Of the environment, and of its stack."""
    branch: str
    template: str
    platform: str
    """The stack that has its platform, as `organization/project/stack`."""
    commit: str = ""
    """What was brought up last; empty outside of git."""
    made: float
    pushed: float = 0.0
    """When `env up` took it last; 0 where a release before this one did."""
    used: float
    """The last push or request."""
    idle_seconds: float
    """How long after that it goes."""
    kept_until: float = 0.0
    """It does not go before; 0 where nobody said so."""
    workloads: tuple[str, ...] = ()
    """All that it ever had: what is theirs goes with it."""
    batches: tuple[str, ...] = ()
    """Its predictions made beforehand, each `<workload>-<name>`."""
    sample: float | None = None
    """The share of the rows that its models are trained and judged on; None: all."""
    requests: dict[str, float] = {}
    """What each application's counter was at the last sweep."""
    config: str = ""
    """Its stack's config, for whoever takes it down without the branch; secrets are encrypted, as in the template."""
    failure: str = ""
    """Why it did not come up last; empty where it did."""
    going: str = ""
    """What goes on by itself since the last update, so that not all of it is up yet; empty where nothing does."""
    leaving: bool = False
    """It is being taken down: the next sweep finishes that."""

    @property
    def applications(self) -> list[str]:
        """The names of its applications."""
        return [name_in(self.name, workload) for workload in self.workloads]

    @property
    def expires(self) -> float:
        """When it goes, if nobody uses it before."""
        return max(self.used + self.idle_seconds, self.kept_until)


class DamagedRecordError(PermanentError):
    """A record is none."""


@dataclass(frozen=True)
class DamagedRecord:
    """A record that cannot be read."""

    name: str
    """Of its environment."""
    told: str
    """What is wrong with it, and what to do."""


class Records:
    """The records of a project's environments, in the store of its state.

    Raises DamagedRecordError where the one that is asked for is damaged, and what the store raises where it does not answer.
    """

    def __init__(self, bucket: Bucket, project: str) -> None:
        self._bucket = bucket
        self._folder = f"{_FOLDER}/{project}"

    def all(self) -> list[EnvironmentRecord]:
        """Every environment's that can be read, by name."""
        return self.survey()[0]

    def survey(self) -> tuple[list[EnvironmentRecord], list[DamagedRecord]]:
        """Every environment's by name; and those that are damaged, which hold up no other."""
        there: list[EnvironmentRecord] = []
        damaged: list[DamagedRecord] = []
        for key in self._bucket.list(self._folder):
            try:
                found = self._read(key)
            except DamagedRecordError as error:
                damaged.append(DamagedRecord(key.rpartition("/")[2].removesuffix(".json"), str(error)))
                continue
            there += [found] if found is not None else []
        return there, damaged

    def named(self, name: str) -> EnvironmentRecord | None:
        """As `find`, of what may be any text."""
        key = self._key(name)
        return self._read(key) if key in self._bucket.list(self._folder) else None

    def find(self, name: str) -> EnvironmentRecord | None:
        """An environment's; None where there is none."""
        return self._read(self._key(name))

    def write(self, record: EnvironmentRecord) -> None:
        """Put it in the place of the one before."""
        self._bucket.write(self._key(record.name), record.model_dump_json(indent=1).encode())

    def remove(self, name: str) -> None:
        """Forget an environment that is gone."""
        self._bucket.delete(self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}.json"

    def _read(self, key: str) -> EnvironmentRecord | None:
        content = self._bucket.read(key)
        if content is None:
            return None
        try:
            return EnvironmentRecord.model_validate_json(content)
        except ValidationError as error:
            wrong = counted(error.error_count(), "mistake")
            raise DamagedRecordError(
                f"{self._bucket.describe(key)} is no record of an environment ({wrong}): it was "
                "changed by hand, or by another release; delete it, and destroy the stack of that name yourself"
            ) from None
