"""Writes the policy pack's copy of the prices: heliostat/pricing, with its tables, as a part of the pack.

A pack runs in an environment of its own, where the library is not. It shall hold against a limit what the preview prints,
and no other number: so it has the same modules. A test holds the two together.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "heliostat" / "pricing"
TARGETS = tuple(folder / "policies" / "pricing" for folder in (ROOT, ROOT / "heliostat" / "scaffold" / "repository"))
_ELSEWHERE = {"trainings.py"}
"""Modules that no limit of a pack asks."""
_NOTE = "# Made by scripts/policy_prices.py of heliostat/pricing: change it there.\n"


def main() -> None:
    """Write the files, of which none is left that is not made any more."""
    for target in TARGETS:
        made = files()
        for path in target.rglob("*.*"):
            if path.is_file() and path.relative_to(target).as_posix() not in made:
                path.unlink()
        for name, text in made.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)


def files() -> dict[str, str]:
    """The texts of the copy, by their path in it."""
    modules = {
        path.name: _NOTE + _relative(path.read_text()) for path in sorted(SOURCE.glob("*.py")) if path.name not in _ELSEWHERE
    }
    return {**modules, **{f"data/{path.name}": path.read_text() for path in sorted((SOURCE / "data").glob("*.json"))}}


def _relative(text: str) -> str:
    """The same with imports that do not depend on what the package is called."""
    text = re.sub(r"^from heliostat\.pricing import ", "from . import ", text, flags=re.MULTILINE)
    return re.sub(r"^from heliostat\.pricing\.", "from .", text, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
