"""What a backend can do, and what a declaration asks of it. Pure: what cannot be done is refused before anything moves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum

from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import Canary, Shadow


class Capability(StrEnum):
    """Something that not every backend can do."""

    ACCELERATORS = "accelerators"
    """Of what runs replicas: a replica can hold accelerators."""
    SHADOW = "shadow"
    """Of what runs replicas: a controller reaches each replica by itself, for copies of requests."""
    AFFINITY = "affinity"
    """Of what routes: a client stays on one version."""
    FRACTIONAL_WEIGHTS = "fractional weights"
    """Of what routes: weights of parts of a percent."""


ALL = frozenset(Capability)


def needed(desired: Desired) -> Iterator[tuple[Capability, str]]:
    """What a declaration asks for, each with the part of it that does."""
    strategy = desired.strategy
    if desired.gpus_per_replica:
        yield Capability.ACCELERATORS, f"gpusPerReplica: {desired.gpus_per_replica:g}"
    if isinstance(strategy, Shadow):
        yield Capability.SHADOW, "strategy: {kind: shadow}"
    if isinstance(strategy, Canary):
        if strategy.affinity is not None:
            yield Capability.AFFINITY, "strategy.affinity"
        broken = [step.weight for step in strategy.steps if step.weight % 1]
        if broken:
            yield (
                Capability.FRACTIONAL_WEIGHTS,
                f"strategy.steps with weights of {', '.join(f'{each:g}' for each in broken)} %",
            )


def unsupported(desired: Desired, can: Collection[Capability]) -> str | None:
    """What a declaration asks for that the backends cannot do, all of it with what they can; None where they can."""
    wrong = [f"{part} needs {what}" for what, part in needed(desired) if what not in can]
    if not wrong:
        return None
    known = ", ".join(sorted(can)) or "none of these"
    return f"this platform cannot do it: {'; '.join(wrong)}. It can do: {known}; declare it otherwise, or serve it elsewhere"
