"""What an hour of a training costs: the nodes of its group that it fills, by list."""

from __future__ import annotations

from heliostat.pricing.tables import table
from heliostat.spec.groups import ChosenGroup, NodeMachine
from heliostat.spec.scaling import nodes_needed
from heliostat.spec.workload import Scaling

NO_GROUP = "it runs on no group of nodes, whose price would be known"


def usd_an_hour(scaling: Scaling, chosen: ChosenGroup | None, workers: int | None = None) -> tuple[float | None, str]:
    """USD an hour of so many workers, by default of all; and where the price is from, or why there is none."""
    machine = chosen.group.machine if chosen is not None and chosen.group is not None else None
    if chosen is None or chosen.group is None:
        return None, NO_GROUP
    if machine is None:
        return (
            None,
            f"nobody told what the machines of the group {chosen.name} are: somebody else made the cluster",
        )
    each = node_hour(machine)
    shown = f"{machine.name}{' at spot' if machine.spot else ''} in {machine.region}"
    if each is None:
        return None, f"the price list has no {shown}"
    filled = scaling if workers is None else scaling.model_copy(update={"workers": workers})
    nodes = nodes_needed(filled, chosen) * (chosen.group.hosts if chosen.group.kind == "tpu" else 1)
    return each * nodes, f"{nodes} {shown}, {table(machine.cloud).date}"


def node_hour(machine: NodeMachine) -> float | None:
    """USD an hour of a machine with the accelerators that are put beside it; None where the list has no price."""
    prices = table(machine.cloud)
    each = prices.machine(machine.region, machine.name, spot=machine.spot)
    if each is None or machine.beside is None:
        return each
    beside = prices.accelerator(machine.region, machine.beside, spot=machine.spot)
    return None if beside is None else each + beside * machine.beside_count
