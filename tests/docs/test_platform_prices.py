"""The prices on the platforms' pages: what the preview says of the plans that were reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from heliostat.cli.display.pricing import PlannedPrice
from heliostat.engine.events import Op, StepStarted
from heliostat.engine.state import urns

ROOT = Path(__file__).parents[2]


def told(kind: str) -> list[str]:
    """The price of a reviewed plan, made from nothing."""
    plan = yaml.load((ROOT / "tests" / "platforms" / "golden" / f"{kind}.yaml").read_text(), yaml.CSafeLoader)
    price = PlannedPrice([])
    for each in plan:
        urn = urns.make("dev", "heliostat", None, each["type"], each["name"])
        price.apply(StepStarted(urn, Op.CREATE, inputs=each.get("inputs", {})))
    return price.lines()


@pytest.mark.parametrize("kind", ["kubernetes", "aws", "gcp"])
def test_a_page_has_the_price_that_a_preview_tells_of_the_plan(kind: str) -> None:
    page = " ".join((ROOT / "docs" / "platforms" / f"{kind}.md").read_text().split())
    assert told(kind)
    assert [line for line in told(kind) if " ".join(line.split()) not in page] == []
