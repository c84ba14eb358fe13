"""Plans: what a preview saw, and an update that is held to it. Pure.

A plan constrains as the official CLI's does. Inputs that the preview did not know may become anything; in the place of an
update or a replacement nothing may happen, in that of a replacement an update; everything else has to be as it was planned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.engine.events import Op
from heliostat.engine.planning.goals import Goal
from heliostat.engine.protocol.properties import has_unknowns
from heliostat.engine.state.snapshot import UNKNOWN, Resource, Secret
from heliostat.engine.state.urns import Urn, provider_of_reference

_ABSENT: Final = object()
_STEPS: Final = frozenset(Op) - {Op.REFRESH, Op.READ_DISCARD, Op.DISCARD_REPLACED}
"""Those that a plan has; a refresh before an update is none of it."""
_IN_PLACE_OF: Final[Mapping[Op, frozenset[Op]]] = {
    Op.SAME: frozenset({Op.UPDATE, Op.CREATE, Op.REPLACE, Op.CREATE_REPLACEMENT, Op.READ}),
    Op.UPDATE: frozenset({Op.CREATE, Op.REPLACE, Op.CREATE_REPLACEMENT}),
}
"""What else may have been planned where a step takes place: less than was planned is none of a surprise."""


@dataclass(frozen=True)
class PropertyDiff:
    """What becomes of the properties at the top of a resource."""

    adds: Mapping[str, Any] = field(default_factory=dict)
    deletes: tuple[str, ...] = ()
    updates: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def between(cls, old: Mapping[str, Any], new: Mapping[str, Any]) -> PropertyDiff:
        """What differs, values that are not known yet included."""
        return cls(
            {key: value for key, value in new.items() if key not in old},
            tuple(sorted(old.keys() - new.keys())),
            {key: value for key, value in new.items() if key in old and not _same(old[key], value)},
        )


@dataclass(frozen=True)
class PlannedGoal:
    """A resource as the program wanted it in the preview."""

    type: str
    name: str
    custom: bool
    inputs: PropertyDiff
    outputs: PropertyDiff = PropertyDiff()
    """Of a component or the stack, which have them from the program."""
    parent: Urn | None = None
    provider: str = ""
    protect: bool = False
    dependencies: tuple[Urn, ...] = ()
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    import_id: str = ""

    @classmethod
    def of(cls, goal: Goal, old: Resource | None, new: Resource) -> PlannedGoal:
        """Of a registration, whose inputs `new` has as its provider checked them."""
        return cls(
            type=goal.type,
            name=goal.name,
            custom=goal.custom,
            inputs=PropertyDiff.between(old.inputs if old else {}, new.inputs),
            parent=goal.parent,
            provider=new.provider,
            protect=bool(goal.protect),
            dependencies=tuple(sorted(goal.dependencies)),
            delete_before_replace=goal.delete_before_replace,
            ignore_changes=tuple(sorted(goal.ignore_changes)),
            additional_secret_outputs=tuple(sorted(goal.additional_secret_outputs)),
            import_id=goal.import_id,
        )


@dataclass
class ResourcePlan:
    """What is planned for one resource: the steps in their order; no goal where it goes."""

    goal: PlannedGoal | None = None
    steps: list[Op] = field(default_factory=list)


@dataclass
class Plan:
    """What is planned for a stack. A preview fills one; an update is held to one, and its steps are taken off."""

    resources: dict[Urn, ResourcePlan] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    """The stack's config, secrets as they are in its file."""

    def plan_goal(self, urn: Urn, goal: PlannedGoal) -> None:
        """Take note of what the program wants."""
        self.resources.setdefault(urn, ResourcePlan()).goal = goal

    def plan_step(self, urn: Urn, op: Op) -> None:
        """Take note of a step."""
        if op in _STEPS:
            self.resources.setdefault(urn, ResourcePlan()).steps.append(op)

    def plan_outputs(self, urn: Urn, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Take note of what a component or the stack exports."""
        planned = self.resources.get(urn)
        if planned is not None and planned.goal is not None:
            fields = {**vars(planned.goal), "outputs": PropertyDiff.between(old, new)}
            planned.goal = PlannedGoal(**fields)


class Constraint:
    """Holds an operation to a plan: says what of it was not planned."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._left = {urn: list(each.steps) for urn, each in plan.resources.items()}

    def goal_violation(self, urn: Urn, goal: Goal, old: Resource | None, new: Resource) -> str:
        """How a registration differs from what was planned; empty where it does not."""
        planned = self._plan.resources.get(urn)
        actual = PlannedGoal.of(goal, old, new)
        if planned is None:
            # What the preview left out (--target) may be declared as it is.
            if old is None:
                return "the plan does not have it"
            unchanged = PropertyDiff()
            return "; ".join(_differences(unchanged, old.inputs, new.inputs))
        if planned.goal is None:
            return "it was planned to be deleted, and the program declares it"
        options = [
            f"{name} is {_shown(is_)}, planned was {_shown(was)}"
            for name, was, is_ in _options(planned.goal, actual)
            if was != is_
        ]
        return "; ".join([*options, *_differences(planned.goal.inputs, old.inputs if old else {}, new.inputs)])

    def outputs_violation(self, urn: Urn, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
        """How exports differ from what was planned; empty where they do not."""
        planned = self._plan.resources.get(urn)
        if planned is None or planned.goal is None:
            return ""
        return "; ".join(_differences(planned.goal.outputs, old, new))

    def step_violation(self, urn: Urn, op: Op) -> str:
        """Why a step is none that was planned; empty where it is. It counts as taken then."""
        if op not in _STEPS:
            return ""
        left = self._left.get(urn)
        if left is None:
            return "" if op is Op.SAME else f"{op} was not planned: the plan does not have it"
        allowed = {op} | _IN_PLACE_OF.get(op, frozenset())
        while left:
            if left.pop(0) in allowed:
                return ""
        if op is Op.SAME:
            return ""
        return f"{op} was not planned, but {', '.join(self._plan.resources[urn].steps) or 'nothing'}"

    def unmet(self) -> list[str]:
        """What was planned of resources that were not dealt with at all, one a line."""
        return [
            f"{urn}: planned was {', '.join(left)}, and nothing of it is to be done any more"
            for urn, left in self._left.items()
            if left and left == self._plan.resources[urn].steps and set(left) - _MAY_BE_LEFT
        ]


_MAY_BE_LEFT: Final = frozenset({Op.SAME, Op.READ, Op.DELETE, Op.DELETE_REPLACED})


def _options(planned: PlannedGoal, actual: PlannedGoal) -> Iterator[tuple[str, Any, Any]]:
    yield "its kind", _kind(planned), _kind(actual)
    yield "parent", planned.parent, actual.parent
    # The id of a provider that is made with it is known later.
    was, is_ = planned.provider, actual.provider
    if was.endswith(f"::{UNKNOWN}") or not was or not is_:
        was, is_ = (provider_of_reference(each) if each else "" for each in (was, is_))
    yield "provider", was, is_
    for name in (
        "protect",
        "delete_before_replace",
        "import_id",
        "dependencies",
        "ignore_changes",
        "additional_secret_outputs",
    ):
        yield name.replace("_", " "), getattr(planned, name), getattr(actual, name)


def _kind(goal: PlannedGoal) -> str:
    return "custom" if goal.custom else "component"


def _differences(planned: PropertyDiff, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Where properties do not become what was planned of them."""
    for key in sorted({*planned.adds, *planned.updates, *planned.deletes, *old, *new}):
        said = planned.adds.get(key, planned.updates.get(key, _ABSENT))
        if key in planned.deletes:
            expected = _ABSENT
        elif said is _ABSENT:
            expected = old.get(key, _ABSENT)
        else:
            expected = said
        actual = new.get(key, _ABSENT)
        if not _fits(expected, actual):
            yield f"{key} is {_shown(actual)}, planned was {_shown(expected)}"


def _fits(expected: Any, actual: Any) -> bool:
    """Whether a value is what was expected, where that was known; what was not may be anything, or nothing."""
    if isinstance(expected, Secret):
        expected = expected.value
    if isinstance(actual, Secret):
        actual = actual.value
    if UNKNOWN in (expected if isinstance(expected, str) else "", actual if isinstance(actual, str) else ""):
        return True
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        keys = {*expected, *actual}
        return all(_fits(expected.get(key, _ABSENT), actual.get(key, _ABSENT)) for key in keys)
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(_fits, expected, actual))
    if expected is _ABSENT or actual is _ABSENT:
        return expected is actual
    return _same(expected, actual)


def _same(one: Any, other: Any) -> bool:
    """Equality that tells true from 1, as JSON does, and takes 1.0 for 1."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return bool(one == other)


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "not there"
    if isinstance(value, Secret):
        return "[secret]"
    if has_unknowns(value):
        return "not known" if value == UNKNOWN else "known in part"
    return json.dumps(value, default=repr, ensure_ascii=False)
