"""What becomes of resources whose plugin is not on this machine: a preview shows them, whatever acts refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from heliostat.engine.errors import ProgramEnded, ProviderError
from heliostat.engine.planning.goals import Goal
from heliostat.engine.planning.operation import Operation, Stopped
from heliostat.engine.planning.planner import Planner, Registered, Result
from heliostat.engine.planning.registry import BUILTIN, is_served
from heliostat.engine.planning.request import Kind
from heliostat.engine.protocol.stand_in import StandIn, notice
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import PROVIDER_TYPE_PREFIX, Urn, provider_of_reference, type_of


@contextmanager
def missing_plugins(op: Operation, kind: Kind) -> Iterator[None]:
    """Surrounds an operation: what acts is refused at once, of a preview is told in the end what it could not know.

    Raises Reported.
    """
    if kind == "import":
        op.registry.stands_in = False  # what is taken over has to be read
    else:
        _require_plugins(op)
    try:
        yield
    finally:
        if stand_ins := [one for _, one in sorted(op.registry.stand_ins.items())]:
            op.tell("warning", notice(stand_ins))


def _require_plugins(op: Operation) -> None:
    """Raises Reported where the state has what no plugin here serves, and the operation acts or leads to one that does.

    What a new resource needs is known once the program declares it, and what a target needs once it has its turn.
    """
    registry = op.registry
    if registry.stands_in or op.scope.limited:
        return
    served = [one for one in op.previous if is_served(one) and not (one.external or one.retain_on_delete)]
    packages = {_package_of(one) for one in served} - {BUILTIN}
    missing = sorted(package for package in packages if registry.plugins.find(package) is None)
    for package in missing[:-1]:
        op.tell("error", registry.missing(package))
    if missing:
        raise op.fail(registry.missing(missing[-1]))


def _package_of(resource: Resource) -> str:
    return type_of(provider_of_reference(resource.provider)).removeprefix(PROVIDER_TYPE_PREFIX)


async def register_opaque(planner: Planner, goal: Goal, stand_in: StandIn) -> Registered:
    """Registers a component that only a plugin could make: itself, and nothing new of what it holds.

    Raises Reported or Stopped, as the planner does.
    """
    urn = planner.claims.urn(goal)
    try:
        failures = await stand_in.failures(goal.type, goal.inputs)
    except ProgramEnded:
        raise Stopped from None
    except ProviderError as error:
        raise planner.op.fail(str(error), urn) from None
    planner.checks.refuse(goal.resource(urn, None, None), failures)
    registered = await planner.register(goal)
    if registered.result != Result.SUCCESS:
        return registered
    urn = registered.resource.urn
    stand_in.unexpanded.add(urn)
    await _carry_below(planner, urn)
    old = planner.op.old(planner.claims.former(urn))
    outputs = await stand_in.outputs(goal.type, goal.inputs, old.outputs if old else {})
    return replace(registered, resource=replace(registered.resource, outputs=outputs))


async def _carry_below(planner: Planner, component: Urn) -> None:
    """Keeps what the state has below a component as it was: only the plugin could tell what goes."""
    below = {component, planner.claims.former(component)}
    for one in planner.op.previous:
        if one.parent in below and not one.delete:
            below.add(one.urn)
            if not planner.is_operated(one.urn):
                await planner.carry(one)
