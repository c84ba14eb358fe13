"""The rows of the table: what is measured, in which unit, and what it has to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Reach:
    """What a value has to reach."""

    relation: Literal[">=", "<=", "="]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether `value` reaches it."""
        if self.relation == ">=":
            return value >= self.bound
        return value <= self.bound if self.relation == "<=" else value == self.bound

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    """`topic/what`."""
    what: str
    unit: str
    reach: Reach | None = None
    """None: the value is reported, and there is nothing to reach."""
    is_long: bool = False
    """Measured only where it is asked for by name: it takes an hour, not minutes."""

    def result(self, value: float, **figures: Any) -> Result:
        """What was measured for this row; `figures` are the numbers that `value` was made of."""
        return Result(self, value, figures)

    def failure(self, error: str, value: float | None = None, **figures: Any) -> Result:
        """The row could not be measured; or not as it has to be, and `value` and `figures` are what there is."""
        return Result(self, value, figures, error)


@dataclass(frozen=True)
class Result:
    """A row with its value."""

    row: Row
    value: float | None
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    """Why there is no value, or why it does not count."""

    @property
    def holds(self) -> bool:
        """Whether the value is there, with nothing wrong, and reaches what it has to."""
        return self.value is not None and not self.error and (self.row.reach is None or self.row.reach.holds(self.value))


def _at_least(bound: float) -> Reach:
    return Reach(">=", bound)


def _at_most(bound: float) -> Reach:
    return Reach("<=", bound)


ROWS = (
    Row("engine/preview-1000", "preview of a program with 1,000 resources", "s", _at_most(5)),
    Row("engine/preview-before", "the same ÷ the build of e029389", "ratio", _at_most(0.6)),
    Row("engine/preview-growth", "the same with 10,000 resources ÷ with 1,000", "ratio", _at_most(11)),
    Row("engine/preview-unplugged", "preview of 60 resources of AWS and Kubernetes without their plugins", "s", _at_most(5)),
    Row("engine/preview-unplugged-more", "each further resource of it, with 100 workloads instead of 1", "ms", _at_most(30)),
    Row("stack/memory", "memory of the idle stack (PSS)", "MiB"),
    Row("stack/memory-before", "the same ÷ the build of e029389", "ratio", _at_most(0.75)),
    Row("stack/first-prediction", "first prediction on an empty machine, set-up excluded", "s", _at_most(35)),
    Row("stack/up-unchanged", "`up` of the whole stack with nothing to do, refresh included", "s", _at_most(3)),
    Row("stack/up-unchanged-before", "the same ÷ the build of e029389", "ratio", _at_most(0.6)),
    Row("serving/ray-haproxy", "requests/s ÷ Serve in HAProxy mode, defaults", "ratio", _at_least(1.1)),
    Row("serving/ray-proxy", "requests/s ÷ Serve's default Python proxy", "ratio", _at_least(6)),
    Row("serving/fastapi", "requests/s ÷ FastAPI and uvicorn, as many workers", "ratio", _at_least(1.1)),
    Row("serving/bentoml", "requests/s ÷ BentoML, as many workers", "ratio", _at_least(8)),
    Row("serving/mlserver", "Open Inference Protocol, one row: requests/s ÷ MLServer, as many workers", "ratio", _at_least(4)),
    Row("serving/mlserver-grpc", "the same over gRPC", "ratio", _at_least(3)),
    Row("serving/mlflow", "requests/s ÷ `mlflow models serve`, as many workers", "ratio", _at_least(1.5)),
    Row(
        "serving/model-of-others",
        "requests/s of an MLflow scikit-learn pipeline served by name alone ÷ `mlflow models serve` of it",
        "ratio",
        _at_least(3),
    ),
    Row(
        "patterns/batch",
        "batch prediction of 10 million rows ÷ a bare loop in as many processes",
        "ratio",
        _at_least(0.9),
    ),
    Row("patterns/batch-memory", "peak memory of its workers (PSS)", "MiB"),
    Row("patterns/lookup", "lookups/s of what was predicted ÷ FastAPI and SQLite, as many workers", "ratio", _at_least(1)),
    Row(
        "serving/replica-kills",
        "lost requests while one replica of two after another is killed, under 8 busy connections",
        "requests",
        Reach("=", 0),
    ),
    Row("serving/replica-kills-slow", "requests over 250 ms meanwhile", "requests"),
    Row("rollouts/blue-green", "failed requests in a blue-green update under load", "requests", Reach("=", 0)),
    Row("rollouts/rolling", "failed requests in a rolling update under load", "requests", Reach("=", 0)),
    Row("rollouts/canary", "failed requests in a canary under load", "requests", Reach("=", 0)),
    Row("rollouts/shift", "decision to all new requests on the new version, as clients see it", "ms", _at_most(10)),
    Row("rollouts/shift-controller", "the same, as the controller measures it", "ms", _at_most(10)),
    Row("rollouts/weight", "weight asked and measured in a canary step of over 40,000 requests", "points", _at_most(1)),
    Row(
        "rollouts/bad-candidate",
        "candidate begins to fail 5 % at a weight of 10 %: until its traffic is gone",
        "s",
        _at_most(10),
    ),
    Row("rollouts/bad-candidate-failed", "share of all requests that failed meanwhile", "%", _at_most(1)),
    Row("rollouts/rollback", "rollback inside the retention window, to the last request on the new version", "s", _at_most(1)),
    Row("rollouts/rollback-failed", "failed requests in it", "requests", Reach("=", 0)),
    Row("rollouts/p99", "p99 from the first shift on ÷ p99 before the rollout", "ratio", _at_most(1.5)),
    Row("rollouts/p99-starting", "p99 while candidates start ÷ p99 under another load of the same CPU", "ratio", _at_most(2)),
    Row("rollouts/recreate-gap", "gap without service when recreated", "s"),
    Row("rollouts/recreate-told", "the gap that the preview told beforehand", "s"),
    Row(
        "snapshot/parts-memory",
        "peak memory of a snapshot of 5 million rows x 12 that come in parts ÷ as tables in memory",
        "ratio",
        _at_most(0.6),
    ),
    Row("snapshot/parts-time", "time of the same", "ratio"),
    Row(
        "data/drift-evidently",
        "drift report of 1 million rows x 50, from the file ÷ Evidently, from memory",
        "ratio",
        _at_most(0.02),
    ),
    Row(
        "data/drift-read",
        "drift report of 10 million rows x 50 ÷ only reading them, by the fastest reader",
        "ratio",
        _at_most(3),
    ),
    Row("data/drift-memory", "peak memory of it", "MiB", _at_most(1536)),
    Row("data/statistics-duckdb", "statistics and schema of the same file ÷ DuckDB's SUMMARIZE", "ratio", _at_most(1)),
    Row("data/merge", "merging the profiles of 1,000 parts, 50 columns", "s", _at_most(1)),
    Row(
        "data/false-alarms",
        "of 1,000 stable windows of 50 columns, those that alarm; 5 % are declared",
        "%",
        _at_most(7.4),
    ),
    Row("data/power", "windows of 10,000 rows in which a shift of 0.1 standard deviations of one of 50 columns is found", "%"),
    Row(
        "monitoring/path",
        "requests/s of a model that is logged, with personal fields and a monitor ÷ of the same without",
        "ratio",
        _at_least(0.97),
    ),
    Row("monitoring/join-growth", "join of 10M predictions with late labels ÷ of 1M", "ratio", _at_most(11)),
    Row("monitoring/join-memory", "peak memory of the same with 10M", "MiB", _at_most(1024)),
    Row(
        "monitoring/look",
        "a monitor's look at a window of 1M predictions with late labels: quality, bias, drift of ten inputs, an estimate",
        "s",
    ),
    Row("training/overhead", "TrainJob on a cluster that is up: what it adds to the fit", "s", _at_most(7)),
    Row("training/loop", "workers' loop ÷ the same fit called directly", "ratio", _at_most(1.3)),
    Row("tasks/celery", "tasks/s through Redis ÷ bare Celery, as many workers", "ratio", _at_least(1)),
    Row(
        "tasks/lost",
        "lost, answered twice or wrongly of 100,000 tasks while workers and broker are killed",
        "tasks",
        Reach("=", 0),
        is_long=True,
    ),
    Row("training/digits", "digits, strong scaling on two cores: one worker ÷ two", "ratio", _at_least(1.6)),
    Row("gitops/environment", "a branch's environment, of what main made: push to first prediction", "s", _at_most(30)),
    Row(
        "gitops/document",
        "a branch that changes comments alone: push to the end of nothing",
        "s",
        _at_most(10),
    ),
    Row("gitops/affected", "`ci affected` with 100 workloads and 10 stacks, of which one workload changed", "s", _at_most(3)),
    Row("gitops/affected-shared", "the same where what all workloads share changed", "s"),
    Row("gitops/memory", "what one of 20 environments beside each other costs (PSS)", "MiB", is_long=True),
    Row("gitops/left", "what a sweep of 20 environments leaves of them", "things", Reach("=", 0), is_long=True),
    Row("soak/failed", "failed requests of 1,000,000 over repeated rollouts", "requests", Reach("=", 0), is_long=True),
)
BY_NAME = {row.name: row for row in ROWS}


class SelectionError(ValueError):
    """A name that no row has."""


def select(names: tuple[str, ...]) -> tuple[Row, ...]:
    """The rows that `names` say: full names, or topics (`serving`); for none, all but the long ones.

    Raises:
        SelectionError: with every name that is unknown.
    """
    topics = {row.name.partition("/")[0] for row in ROWS}
    if unknown := [name for name in names if name not in BY_NAME and name not in topics]:
        raise SelectionError(
            f"there is no row or topic {', '.join(map(repr, unknown))}; "
            f"topics: {', '.join(sorted(topics))}; rows: {', '.join(BY_NAME)}"
        )
    if not names:
        return tuple(row for row in ROWS if not row.is_long)
    return tuple(row for row in ROWS if row.name in names or row.name.partition("/")[0] in names)
