"""What every stack but a person's own must keep to in what it serves: plain functions from a resource's inputs to violations.

They import nothing of Pulumi's, so that they are tested as what they are, and nothing of ours, because the pack runs in
an environment of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .model import UNKNOWN, each, get

Inputs = Mapping[str, Any]
Rule = Callable[[Inputs], str | None]
"""The violation, in words that name the value, the limit and the fix; None where there is none."""


def two_replicas(application: Inputs) -> str | None:
    """An application outlives the loss of one replica."""
    replicas = application.get("replicas", 2)
    if replicas is UNKNOWN or replicas >= 2:
        return None
    return f"replicas is {replicas:g}, at least 2 are needed: with one, a crash is an outage"


def no_gap(application: Inputs) -> str | None:
    """An application is moved without a gap in service."""
    if get(application, "strategy", "kind") != "recreate":
        return None
    return "strategy is recreate, which stops the service meanwhile: choose rolling or blue-green"


def analysed(application: Inputs) -> str | None:
    """A candidate is held against something while it takes over the traffic."""
    strategy = get(application, "strategy")
    kind = get(strategy, "kind")
    given = [get(strategy, name) for name in ("analysis", "before", "after", "steps")]
    if UNKNOWN in given:
        return None
    given = [*given[:3], *(get(step, "analysis") for step in each(given[3]))]
    if kind not in ("rolling", "blue-green", "canary") or any(given):
        return None
    place = "before or strategy.after" if kind == "blue-green" else "analysis"
    return f"strategy {kind} has no analysis: give it strategy.{place}, or only golden requests stand between it and clients"


def answers_are_logged(application: Inputs) -> str | None:
    """What was answered can be looked at, and trained on, later."""
    rate = get(application, "predictionLog", "samplingRate")
    if rate is None or rate is UNKNOWN or rate > 0:
        return None
    return f"predictionLog.samplingRate is {rate:g}: above 0 is needed, or drift and quality cannot be told"


def judged_by_slice(version: Inputs) -> str | None:
    """A candidate is not admitted for being better on average alone."""
    if version.get("pin") or get(version, "gate", "slices"):
        return None
    return "gate.slices is empty: name at least one column, or a part of the users can be served worse unseen"


def data_is_kept(store: Inputs) -> str | None:
    """Objects outlive the resource that made their place."""
    if store.get("onDestroy", "keep") in ("keep", UNKNOWN):
        return None
    return f"onDestroy is {store['onDestroy']}: keep is needed, or `destroy` takes data, runs and models with it"


RULES: dict[str, tuple[str, Rule]] = {
    "two-replicas": ("heliostat:index:Application", two_replicas),
    "no-gap": ("heliostat:index:Application", no_gap),
    "analysed": ("heliostat:index:Application", analysed),
    "answers-are-logged": ("heliostat:index:Application", answers_are_logged),
    "judged-by-slice": ("heliostat:index:ModelVersion", judged_by_slice),
    "data-is-kept": ("heliostat:index:ObjectStore", data_is_kept),
}
"""By name: the type that a rule looks at, and the rule."""

ADVISORY = frozenset({"analysed"})
"""Rules whose violation is a warning; any other's ends the update."""
