"""Takes a person's rows out of the input examples of models in MLflow: the first rows of the data that they were tested on.

A training gives its model an example without values of marked columns. What others logged is theirs, and known by its digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from heliostat.governance.objects import Cleaned
from heliostat.governance.subjects import Subject
from heliostat.systems.mlflow_server import ARTIFACTS
from heliostat.systems.objects import ObjectMissingError, ObjectStore

EXAMPLES: Final = "input examples of models"
_FILES: Final = ("input_example.json", "serving_input_example.json")
_OURS: Final = b"loader_module: heliostat."
"""Stands in the description of a model that a training logged."""


def examples_of(store: ObjectStore) -> Iterator[tuple[str, bytes]]:
    """Those of all models that trainings logged: keys and contents."""
    for info in list(store.list(f"{ARTIFACTS}/")):
        folder, _, name = info.key.rpartition("/")
        if name in _FILES:
            try:
                if _OURS in store.get(f"{folder}/MLmodel"):
                    yield info.key, store.get(info.key)
            except ObjectMissingError:
                continue


def without_rows(content: bytes, subject: Subject) -> Cleaned | None:
    """An example without the person's rows; None where it has none."""
    try:
        found = json.loads(content)
        table = found.get("dataframe_split", found)
        place, rows = table["columns"].index(subject.field), table["data"]
        kept = [row for row in rows if not subject.is_in(row[place])]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    if len(kept) == len(rows):
        return None
    table["data"] = kept
    return Cleaned(json.dumps(found, indent=2).encode(), len(rows) - len(kept))
