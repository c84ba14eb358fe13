"""What a stack costs at its largest, by the list prices of `pricing`: those that a preview of Heliostat prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .model import UNKNOWN, Resource, Settings, listed
from .pricing import Declared, Estimate, price

_CLOUDS = ("aws", "gcp")
_NAMED = 3
_STAND_IN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What Pulumi sends for what is not known yet, which the prices pass over."""


def within_price(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[str, str]]:
    """A stack at its largest costs no more an hour than its environment may."""
    limit = settings.get("maxHourlyUsd")
    if limit is None:
        return
    estimate = _estimate(resources)
    most = estimate.most()
    if most > limit:
        dearest = sorted(estimate.items, key=lambda item: item.most, reverse=True)[:_NAMED]
        named = "; ".join(f"{item.what} (${item.most:.2f})" for item in dearest)
        yield (
            "",
            f"the stack may come to ${most:.2f} an hour by list, at most ${limit:g} are allowed; most of it is {named}: lower "
            f"maximum sizes, take other machines, or ask for a higher limit (prices: {'; '.join(estimate.sources)})",
        )


def price_known(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[str, str]]:
    """Whatever costs by the hour has a price that is known, or no limit holds it."""
    if unknown := _estimate(resources).unknown:
        yield (
            "",
            f"within-price counts as nothing what has no price in the tables, or no size yet: {listed(unknown)}; look at the "
            "prices and lower maxHourlyUsd by them, or take machines and regions that the tables have",
        )


def _estimate(resources: Sequence[Resource]) -> Estimate:
    declared = [Declared(one.type, one.name, _without_unknowns(one.props)) for one in resources]
    return price([*declared, *_providers(resources)])


def _providers(resources: Sequence[Resource]) -> Iterator[Declared]:
    """The providers that the resources are made by, which say the region where they do not."""
    for one in resources:
        cloud = one.type.partition(":")[0]
        if cloud in _CLOUDS and one.provider:
            yield Declared(f"pulumi:providers:{cloud}", "", _without_unknowns(one.provider))


def _without_unknowns(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_unknowns(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_unknowns(inner) for inner in value]
    return _STAND_IN if value is UNKNOWN else value
