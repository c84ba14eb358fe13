"""Asks a package of itself, where nothing else of ours is: `python -I trial.py <folder> <module> <barred> <bodies> <answers>`.

Run by its path and without the library: `barred`, comma-separated, are top-level packages that it must do without. The bodies
are a JSON list of texts; the answers one of `[status, text]`.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


class Barred(MetaPathFinder):
    """Refuses to import some top-level packages, and says by whom they were asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Called by Python's import."""
        if name in self._names:
            raise ImportError(f"the package imports {name}, which it does not carry", name=name)
        return None


def main(folder: str, module: str, barred: str, bodies: str, answers: str) -> None:
    """Write what the package answers to the bodies."""
    sys.path.insert(0, folder)
    sys.meta_path.insert(0, Barred(barred.split(",")))
    package = importlib.import_module(module)
    model = package.Model()
    found = []
    for body in json.loads(Path(bodies).read_text()):
        try:
            found.append([200, model.predict_json(body.encode("latin-1")).decode()])
        except package.RowsError as error:
            found.append([422, json.dumps(error.detail)])
    Path(answers).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
