"""Where a training's time, memory and money went, and what to change, by rules with the figure that each is about. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AllowInfNan, Field

from heliostat.spec.base import Model
from heliostat.spec.ensembles import Combined
from heliostat.spec.formatting import counted

Figure = Annotated[float, AllowInfNan()]

REPORT: Final = ".report.json"
"""What the key of a report ends with."""
INPUT_LIMIT: Final = 0.3
SYNCHRONISATION_LIMIT: Final = 0.3
CHECKPOINT_LIMIT: Final = 0.1
BUSY_FROM: Final = 0.8
"""Of the threads that a worker has, in its computing: from here on it is bound by its CPUs."""
IDLE_BELOW: Final = 0.4
MEMORY_LIMIT: Final = 0.8
_SHORT: Final = 5.0
"""Seconds below which shares say nothing about a training: it is its start that takes the time."""
_MIB_A_GIB: Final = 1024


class Phase(StrEnum):
    """What a worker's time can go to beside computing."""

    INPUT = "input"
    SYNCHRONISATION = "synchronisation"
    CHECKPOINTS = "checkpoints"


class WorkerTimes(Model):
    """What one worker's part of a training took, in seconds since its function began."""

    rank: int
    node: str
    """The address of its node."""
    node_memory_mib: float = 0.0
    """All that its node, or its container, has."""
    threads: int = 1
    seconds: float
    input: float = 0.0
    """Reading data."""
    synchronisation: float = 0.0
    """Waiting for the other workers, where what it trains with can tell that from computing."""
    checkpoints: float = 0.0
    """Keeping checkpoints and the model, and waiting until all have."""
    cpu_seconds: float = 0.0
    """Processor time of the process while it computed, of all its threads."""
    accelerator: str = ""
    """What it computed on, where that is none of its CPUs."""
    peak_memory_mib: float = 0.0
    """The most that its process was resident."""

    @property
    def compute(self) -> float:
        """All that went to nothing else."""
        return max(0.0, self.seconds - self.input - self.synchronisation - self.checkpoints)


class Bound(StrEnum):
    """What holds a training up."""

    INPUT = "input"
    SYNCHRONISATION = "synchronisation"
    CHECKPOINTS = "checkpoints"
    CPU = "cpu"
    WAITING = "waiting"
    MEMORY = "memory"


class Advice(Model):
    """What to change, and the figure that says so."""

    bound: Bound
    figure: Figure
    """The share, 0 to 1."""
    limit: Figure
    """From, or below, which the rule holds."""
    text: str


class Knowledge(Model):
    """What a continued training kept of what the model before it knew, and what it gained: one metric on both data."""

    metric: str
    before: str
    """The model that it went on from, as MLflow names it."""
    old_data: str
    """Digest of the data that the model before was trained on."""
    before_on_old: Figure
    after_on_old: Figure
    before_on_new: Figure
    after_on_new: Figure


class Trial(Model):
    """One setting that a tuning tried."""

    parameters: dict[str, Any]
    value: Figure | None
    """The metric on the validation split; None where it failed."""
    error: str = ""
    seconds: float = 0.0
    chosen: bool = False


class TrainingReport(Model):
    """The report of one training, kept beside its run."""

    name: str
    run_id: str
    seconds: float
    """From the start of the workers to their end, of the attempt that ended it."""
    workers: tuple[WorkerTimes, ...]
    usd: Figure | None = None
    """By the price list: the nodes that it fills for these seconds; None where their price is not known."""
    price: str = ""
    """Where the price is from, or why there is none."""
    advice: tuple[Advice, ...] = ()
    ended_by_budget: float | None = Field(default=None)
    """The seconds after which its budget ended it; None where it went to its end."""
    attempts: tuple[int, ...] = ()
    """How many workers each start of them had."""
    metric: str = ""
    """Of the trials."""
    trials: tuple[Trial, ...] = ()
    knowledge: Knowledge | None = None
    combined: Combined | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The parameters that the best trial gave, in the place of those that are declared; none without trials."""
        return next((dict(each.parameters) for each in self.trials if each.chosen), {})


def advise(workers: Sequence[WorkerTimes]) -> tuple[Advice, ...]:
    """What to change in a training of these workers, by the one that the rule holds most for."""
    found = tuple(_memory(workers))
    if not workers or max(each.seconds for each in workers) < _SHORT:
        return found
    return (*_phases(workers), *_computing(workers), *found)


def _phases(workers: Sequence[WorkerTimes]) -> Iterator[Advice]:
    rules = (
        (Bound.INPUT, INPUT_LIMIT, "read fewer columns, keep the data nearer to the workers, or give it more workers"),
        (
            Bound.SYNCHRONISATION,
            SYNCHRONISATION_LIMIT,
            "take fewer and larger workers, larger batches, or a parameter server, whose workers do not wait",
        ),
        (Bound.CHECKPOINTS, CHECKPOINT_LIMIT, "keep checkpoints less often"),
    )
    for bound, limit, text in rules:
        worst = max(workers, key=lambda each: getattr(each, bound.value) / each.seconds)
        spent = getattr(worst, bound.value)
        share = spent / worst.seconds
        if share >= limit:
            told = f"{bound.value} took {share:.0%} of worker {worst.rank}'s {worst.seconds:.1f} s ({spent:.1f} s): {text}"
            yield Advice(bound=bound, figure=share, limit=limit, text=told)


def _computing(workers: Sequence[WorkerTimes]) -> Iterator[Advice]:
    """By the busiest worker: in step with it, the others wait for that one."""
    computing = [each for each in workers if each.compute >= each.seconds / 2 and not each.accelerator]
    busiest = max(computing, key=_busy, default=None)
    if busiest is None:
        return
    busy = _busy(busiest)
    kept = f"worker {busiest.rank} kept {busy:.0%} of its {counted(busiest.threads, 'thread')} busy in {busiest.compute:.1f} s"
    if busy >= BUSY_FROM:
        text = f"{kept} of computing: give it more CPUs, more workers, or an accelerator"
        yield Advice(bound=Bound.CPU, figure=busy, limit=BUSY_FROM, text=text)
    elif busy < IDLE_BELOW:
        text = f"{kept} of what is counted as computing, and no other more: they wait for something, fewer CPUs cost nothing"
        yield Advice(bound=Bound.WAITING, figure=busy, limit=IDLE_BELOW, text=text)


def _busy(worker: WorkerTimes) -> float:
    """The share of its threads' time in which a worker computed."""
    return worker.cpu_seconds / (worker.compute * worker.threads)


def _memory(workers: Sequence[WorkerTimes]) -> Iterator[Advice]:
    nodes: dict[str, list[WorkerTimes]] = {}
    for each in workers:
        nodes.setdefault(each.node, []).append(each)
    shares = {
        node: sum(each.peak_memory_mib for each in there) / there[0].node_memory_mib
        for node, there in nodes.items()
        if there[0].node_memory_mib
    }
    fullest = max(shares, key=lambda node: shares[node], default=None)
    if fullest is not None and shares[fullest] >= MEMORY_LIMIT:
        there = nodes[fullest]
        peak = sum(each.peak_memory_mib for each in there) / _MIB_A_GIB
        text = (
            f"the {counted(len(there), 'worker')} on {fullest} took {peak:.1f} GiB at their peaks, "
            f"{shares[fullest]:.0%} of its memory: give a node fewer workers or less data, or more memory"
        )
        yield Advice(bound=Bound.MEMORY, figure=shares[fullest], limit=MEMORY_LIMIT, text=text)


def lines(report: TrainingReport) -> Iterator[str]:
    """The report for people, the main thing first."""
    if report.workers:
        slowest = max(report.workers, key=lambda each: each.seconds)
        phases = ("input", "compute", "synchronisation", "checkpoints")
        parts = ", ".join(f"{name} {getattr(slowest, name):.1f} s" for name in phases if getattr(slowest, name) >= 0.05)
        peak = max(each.peak_memory_mib for each in report.workers)
        whole = f"{report.seconds:.1f} s, of which the slowest worker's {slowest.seconds:.1f} s"
        yield f"{whole}: {parts}; peak {peak:.0f} MiB a worker"
    if report.usd is not None:
        yield f"cost {report.usd:.2f} USD ({report.price})"
    if len(set(report.attempts)) > 1:
        yield f"its workers were started {len(report.attempts)} times: {', '.join(map(str, report.attempts))} of them"
    if report.ended_by_budget is not None:
        yield f"its budget of {report.ended_by_budget:g} s ended it"
    yield from _trials(report)
    if (made := report.combined) is not None:
        yield made.text
    if (kept := report.knowledge) is not None:
        yield (
            f"{kept.metric} on the data of {kept.before}: {kept.before_on_old:.4f} before, {kept.after_on_old:.4f} now; "
            f"on the new data: {kept.before_on_new:.4f} before, {kept.after_on_new:.4f} now"
        )
    yield from (each.text for each in report.advice)


def _trials(report: TrainingReport) -> Iterator[str]:
    chosen = next((each for each in report.trials if each.chosen), None)
    if chosen is None:
        return
    failed = sum(each.value is None for each in report.trials)
    shown = ", ".join(f"{name} {value}" for name, value in chosen.parameters.items())
    first = report.trials[0]
    baseline = "the first failed" if first.value is None else f"{first.value:.4f} as declared"
    yield (
        f"the best of {counted(len(report.trials), 'trial')}{f', {failed} of which failed' if failed else ''}: "
        f"{report.metric} {chosen.value:.4f} with {shown} ({baseline})"
    )


def report_key(name: str, digest: str) -> str:
    """The key of the report of the training `name` with an identity."""
    return f"trainings/{name}/{digest[:32]}{REPORT}"
