"""The limit of what a stack may cost: by the same prices as a preview's, whatever of the stack is known."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_stack_rules import gke, violations

from heliostat.pricing import Declared, price
from policies.model import UNKNOWN, Resource

ROOT = Path(__file__).parents[2]
VIRGINIA = {"provider": {"region": "us-east-1"}}
DATABASE = {"instanceClass": "db.t4g.medium", "allocatedStorage": 20, "storageType": "gp3", "multiAz": True}


def group(machine: str, name: str, most: Any = 4) -> Resource:
    props = {"instanceTypes": [machine], "scalingConfig": {"minSize": 0, "maxSize": most}}
    return Resource("aws:eks/nodeGroup:NodeGroup", name, props, **VIRGINIA)


STACK = [
    group("g5.xlarge", "a10g"),
    Resource("aws:eks/cluster:Cluster", "ml", **VIRGINIA),
    Resource("aws:rds/instance:Instance", "mlflow", DATABASE, **VIRGINIA),
]


def printed() -> float:
    """The price at the largest that a preview has."""
    provider = Declared("pulumi:providers:aws", "aws", {"region": "us-east-1"})
    return price([provider, *(Declared(one.type, one.name, one.props) for one in STACK)]).most()


def test_a_stack_is_held_to_its_limit_at_its_largest_by_the_price_that_a_preview_prints() -> None:
    most = printed()
    assert most > 4
    assert violations("within-price", *STACK, maxHourlyUsd=most) == []
    ((urn, said),) = violations("within-price", *STACK, maxHourlyUsd=most - 0.01)
    assert urn == ""
    assert f"${most:.2f} an hour by list, at most ${most - 0.01:g}" in said
    assert "most of it is node group a10g: 0 to 4 g5.xlarge ($" in said
    assert "aws, 2026" in said


def test_without_a_limit_and_in_a_cluster_that_somebody_else_pays_nothing_is_told() -> None:
    assert violations("within-price", *STACK) == []
    service = Resource("kubernetes:core/v1:Service", props={"spec": {"type": "LoadBalancer"}})
    assert violations("within-price", service, maxHourlyUsd=0) == violations("price-known", service) == []


def test_what_has_no_price_is_told_by_name_and_breaks_no_limit() -> None:
    h200 = group("p5e.48xlarge", "h200", 2)
    assert violations("within-price", h200, maxHourlyUsd=1) == []
    ((_, said),) = violations("price-known", h200)
    assert "node group h200: 0 to 2 p5e.48xlarge in us-east-1" in said
    assert "lower maxHourlyUsd" in said
    assert violations("price-known", *STACK) == []


def test_the_region_of_a_provider_counts_and_one_that_nobody_says_has_no_prices() -> None:
    nowhere = [Resource(one.type, one.name, one.props) for one in STACK]
    ((_, said),) = violations("price-known", *nowhere)
    assert "g5.xlarge in a region that nothing names" in said
    assert violations("within-price", *nowhere, maxHourlyUsd=0.11) == []
    named = Resource("pulumi:providers:aws", "aws", {"region": "us-east-1"})
    assert len(violations("within-price", *nowhere, named, maxHourlyUsd=0.11)) == 1


@pytest.mark.parametrize("props", [{"nodeConfig": UNKNOWN}, {"nodeConfig": {"guestAccelerators": UNKNOWN, "spot": UNKNOWN}}])
def test_what_a_preview_does_not_know_yet_breaks_no_limit(props: dict[str, Any]) -> None:
    pool = gke("n1-standard-4", location="us-central1-a", **{"autoscaling": {"maxNodeCount": UNKNOWN}, **props})
    claims = Resource("kubernetes:apps/v1:StatefulSet", props={"spec": {"volumeClaimTemplates": UNKNOWN}})
    assert violations("within-price", pool, claims, maxHourlyUsd=0) == []
    assert len(violations("price-known", pool, claims)) == 1


def files_in(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*.*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_text()


def test_the_pack_s_copy_of_the_prices_is_the_library_s() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "policy_prices.py"))
    for target in made["TARGETS"]:
        assert dict(files_in(target)) == made["files"](), "run scripts/policy_prices.py"
    assert not [name for name, text in made["files"]().items() if re.search("^(from|import) heliostat", text, re.MULTILINE)]
