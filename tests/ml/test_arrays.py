"""Models that are a few arrays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from heliostat.ml.arrays import ArrayModel


class Model(ArrayModel):
    """One of a workload."""


def test_a_model_is_loaded_as_it_was_saved_and_by_its_own_class(tmp_path: Path) -> None:
    Model({"weights": np.array([1.5, -2.0]), "names": np.array(["a", "b"]), "file": np.array([3])}).save(tmp_path)
    found = Model.load(tmp_path)
    assert type(found) is Model
    assert {name: array.tolist() for name, array in found.arrays.items()} == {
        "weights": [1.5, -2.0],
        "names": ["a", "b"],
        "file": [3],
    }


def test_what_only_a_pickle_could_keep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="things: an array of objects cannot be kept"):
        Model({"fine": np.ones(2), "things": np.array([object()])}).save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no arrays\.npz: other code than Model"):
        Model.load(tmp_path)


def test_a_file_with_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", things=np.array([object()]))
    with pytest.raises(ValueError, match="pickle"):
        Model.load(tmp_path)


def test_a_replica_imports_no_more_than_numpy_for_it() -> None:
    code = "import heliostat.ml.arrays, sys; print({'pyarrow', 'sklearn', 'pandas', 'mlflow'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
