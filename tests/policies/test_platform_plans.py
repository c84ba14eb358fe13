"""What the platforms declare keeps to the pack's rules, with the configs that this repository gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_cloud_rules import settings_of

from heliostat.pricing import Declared, price
from heliostat.pricing.model import Estimate
from policies.catalog import POLICIES, Policy
from policies.model import UNKNOWN, Resource

ROOT = Path(__file__).parents[2]
PLANS = ROOT / "tests" / "platforms" / "golden"
KINDS = sorted(path.stem for path in PLANS.glob("*.yaml"))
PROVIDERS = ("pulumi:providers:aws", "pulumi:providers:gcp")


def plan(kind: str) -> list[Resource]:
    """The resources of a plan that was reviewed."""
    entries = yaml.safe_load((PLANS / f"{kind}.yaml").read_text())
    providers = {one["type"].rpartition(":")[2]: known(one.get("inputs", {})) for one in entries if one["type"] in PROVIDERS}
    urns = {f"{one['type']} {one['name']}": urn(one) for one in entries}
    return [
        Resource(
            one["type"],
            one["name"],
            known(one.get("inputs", {})),
            urn(one),
            bool(one.get("protect")),
            providers.get(one["type"].partition(":")[0], {}),
            # A plan does not say which property a dependency is of; a companion of a bucket has one bucket.
            {"bucket": tuple(urns[each] for each in one.get("dependsOn", ()) if "s3/bucket:" in each and each in urns)},
        )
        for one in entries
    ]


def urn(one: dict[str, Any]) -> str:
    return f"urn:pulumi:dev::heliostat::{one['type']}::{one['name']}"


def known(value: Any) -> Any:
    """A value of a plan as a rule sees it."""
    if isinstance(value, dict):
        return {key: known(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [known(inner) for inner in value]
    return UNKNOWN if value == "(known after up)" else value


def said(policy: Policy, resources: list[Resource], given: dict[str, Any]) -> Iterator[str]:
    settings = settings_of(policy, given)
    if policy.of_stack:
        yield from (f"{policy.name}: {urn} {violation}" for urn, violation in policy.of_stack(resources, settings))
    for one in resources if policy.of_resource else ():
        assert policy.of_resource
        yield from (f"{policy.name}: {one.type} {one.name} {violation}" for violation in policy.of_resource(one, settings))


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_platform_declares_breaks_no_rule(kind: str) -> None:
    config = json.loads((ROOT / "policies" / f"config-{kind}.json").read_text())
    resources = plan(kind)
    assert len(resources) > 30
    mandatory = [policy for policy in POLICIES if policy.level == "mandatory"]
    assert [one for policy in mandatory for one in said(policy, resources, config.get(policy.name, {}))] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_is_held_against_the_price_that_the_preview_prints(kind: str) -> None:
    resources = plan(kind)
    estimate = preview(resources)
    (over,) = [policy for policy in POLICIES if policy.name == "within-price"]
    assert list(said(over, resources, {"maxHourlyUsd": estimate.most()})) == []
    if not estimate.is_empty:
        assert len(list(said(over, resources, {"maxHourlyUsd": estimate.most() - 0.01}))) == 1
    (known_prices,) = [policy for policy in POLICIES if policy.name == "price-known"]
    (unknown,) = list(said(known_prices, resources, {})) or [""]
    assert [one for one in estimate.unknown if one not in unknown] == []


def preview(resources: list[Resource]) -> Estimate:
    return price(Declared(one.type, one.name, one.props) for one in resources)
