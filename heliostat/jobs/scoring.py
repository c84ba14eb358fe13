"""The program that scores a model, named by the model itself, which carries its own copy of the library.

    python -m <program> <the MLflow model's folder> <Parquet of the rows> <file for the scores>

How it is called never changes; where it lies in the library did.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ruamel.yaml import YAML

PROGRAM: Final = "heliostat.jobs.score"
"""In a model that is logged now."""
METADATA_KEY: Final = "heliostat.score"
"""Of MLflow's metadata of a model, which has the program's name."""
_UNNAMED: Final = "heliostat.ml.jobs.score"
"""In models from before they named it."""


def program_of(model: Path) -> str:
    """The module, in the model's own code, that scores it."""
    described = YAML(typ="safe").load((model / "MLmodel").read_text())
    return str((described.get("metadata") or {}).get(METADATA_KEY, _UNNAMED))
