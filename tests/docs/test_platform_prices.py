"""The prices on the platforms' pages: what the preview says of the plans that were reviewed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from heliostat.cli.display.pricing import lines
from heliostat.pricing import Declared, compare

ROOT = Path(__file__).parents[2]


def told(kind: str) -> list[str]:
    """The price of a reviewed plan, made from nothing."""
    plan = yaml.load((ROOT / "tests" / "platforms" / "golden" / f"{kind}.yaml").read_text(), yaml.CSafeLoader)
    return lines(compare([], [Declared(each["type"], each["name"], each.get("inputs", {})) for each in plan]))


@pytest.mark.parametrize("kind", ["aws", "gcp"])
def test_a_page_has_the_price_that_a_preview_tells_of_the_plan(kind: str) -> None:
    page = " ".join((ROOT / "docs" / "platforms" / f"{kind}.md").read_text().split())
    assert len(told(kind)) > 5
    assert [line for line in told(kind) if " ".join(line.split()) not in page] == []


def test_nothing_is_said_of_the_price_of_a_cluster_that_is_there() -> None:
    assert told("kubernetes") == []
