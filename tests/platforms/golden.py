"""Plans as they were reviewed: what a platform's program declares, a file a kind. GOLDEN=write makes them anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).with_name("golden")


def load(kind: str) -> list[dict[str, Any]]:
    """The plan that was reviewed."""
    return list(yaml.safe_load((FOLDER / f"{kind}.yaml").read_text()))


def check(kind: str, plan: list[dict[str, Any]]) -> None:
    """Fail where the plan is not the one that was reviewed."""
    file = FOLDER / f"{kind}.yaml"
    text = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=120)
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    made, reviewed = yaml.safe_load(text), load(kind)
    names = [[(each["type"], each["name"]) for each in plan] for plan in (made, reviewed)]
    assert names[0] == names[1], "GOLDEN=write makes the plan anew; review its diff"
    for one, other in zip(made, reviewed, strict=True):
        assert one == other, f"{one['name']}: GOLDEN=write makes the plan anew; review its diff"
