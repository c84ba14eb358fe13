"""A trained model as an MLflow model: with signature, input example, requirements and the code that it needs.

No pickle: the model is the files that the workload saved, and `heliostat.ml.pyfunc` loads them. Only the training's
driver imports this, for it imports mlflow.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from heliostat.jobs import scoring
from heliostat.ml.pyfunc import RESULT_FILE, columns_in
from heliostat.ml.tasks.base import is_list
from heliostat.spec.code import code_of, library_of, others_of
from heliostat.systems.personal_keys import MASK

NAME: Final = "model"
DATA_FOLDER: Final = "trained"
_PACKAGES: Final = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "httpx")
"""What every model is loaded and scored with."""
_BEHIND: Final = {"heliostat/ml/frameworks/lightgbm/booster.py": "lightgbm"}
"""Packages that modules of the library use without an import."""
_LOADER: Final = "heliostat.ml.pyfunc"
_LIBRARY: Final = (_LOADER, scoring.PROGRAM)
"""What loads and scores a model with its own code. With what these and the workload import it is a third of the library: each
file is one call more for whoever logs the model or fetches it."""


def prepare() -> None:
    """Load what `log_model` will, and have MLflow find what is installed, which it remembers: as much work as the logging."""
    import mlflow.pyfunc  # noqa: F401
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(_requirements())
    with suppress(ImportError):  # raised where there is no `git`
        import git  # noqa: F401 - MLflow asks it for the commit


def log_model(run_id: str, folder: Path, label: str, example: pa.Table, personal: Collection[str] = ()) -> str:
    """Log what a training handed back in `folder` as the run's model, and return `models:/<model id>`.

    Of the columns that are `personal` its input example has no values.
    """
    import mlflow

    with mlflow.start_run(run_id=run_id), tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary, DATA_FOLDER)
        shutil.copytree(folder, data)
        inputs, root = example.drop_columns([label]), Path.cwd()
        result = json.loads((folder / RESULT_FILE).read_text())
        entry_points = [each for each in (result["predictor"], result["baseline"]) if each]
        info = mlflow.pyfunc.log_model(
            name=NAME,
            loader_module=_LOADER,
            data_path=str(data),
            code_paths=_code(Path(temporary, "code"), root),
            signature=_signature(inputs.schema, columns_in(folder)),
            input_example=_frame(without_values(inputs, personal)),
            pip_requirements=_requirements(root, entry_points),
            metadata={scoring.METADATA_KEY: scoring.PROGRAM},
        )
        return f"models:/{info.model_id}"


def _requirements(root: Path | None = None, entry_points: Sequence[str] = ()) -> list[str]:
    """What every model is loaded and scored with, and what the modules of its predictors import besides."""
    packages = [*_PACKAGES]
    if root is not None:
        ready = [each for each in entry_points if each.startswith("heliostat.")]  # such as a baseline that the library has
        files = code_of(root, *(each for each in entry_points if each not in ready), sources=_top_levels(root)).files
        ours = library_of(root, *_LIBRARY, *(each.partition(":")[0] for each in ready), files=files)
        packages += [package for file, package in _BEHIND.items() if file in ours]
        packages += _distributions(others_of(root, files) - {*packages})
    return [f"{name}=={importlib.metadata.version(name)}" for name in dict.fromkeys(packages)]


def _distributions(modules: Collection[str]) -> list[str]:
    """What installs some top-level packages; looking through all that is installed takes a while, and is rarely needed."""
    if not modules:
        return []
    there = importlib.metadata.packages_distributions()
    return sorted({there[module][0] for module in modules if there.get(module)})


def _top_levels(root: Path) -> list[str]:
    """The top-level packages and modules of the code that this job runs: its working directory holds nothing else."""
    return sorted({path.relative_to(root).parts[0].removesuffix(".py") for path in root.rglob("*.py")})


def _code(folder: Path, root: Path) -> list[str]:
    """The library's part that predictors use, and the workload's code of this job."""
    import heliostat

    top, target = Path(heliostat.__file__).parents[1], folder / "heliostat"
    for name in library_of(root, *_LIBRARY):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(top / name, folder / name)
    for path in root.rglob("*.py"):
        copy = folder / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return [str(target), *(str(folder / path.name) for path in sorted(root.iterdir()) if (folder / path.name).exists())]


def _signature(schema: pa.Schema, columns: Sequence[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    inputs: list[Any] = [ColSpec(_mlflow_type(field.type), field.name) for field in schema]
    # What the task leaves open, the signature does: MLflow has no name for an answer of any shape.
    outputs = Schema([ColSpec("double", name) for name in columns]) if columns else None
    return ModelSignature(inputs=Schema(inputs), outputs=outputs)


def without_values(table: pa.Table, personal: Collection[str]) -> pa.Table:
    """A table with stand-ins in some columns, of the same types."""
    for number, field in enumerate(table.schema):
        if field.name in personal:
            table = table.set_column(number, field.name, _stand_ins(field.type, table.num_rows))
    return table


def _stand_ins(kind: pa.DataType, count: int) -> pa.Array:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_temporal(plain):
        found = pa.array([0] * count, pa.int64() if plain.bit_width == 64 else pa.int32()).cast(plain)
    elif is_list(plain):
        found = pa.array([[]] * count, plain)
    else:
        is_text = pa.types.is_string(plain) or pa.types.is_large_string(plain)
        found = pa.array([MASK if is_text else 0] * count).cast(plain)
    return found.cast(kind)


def _frame(table: pa.Table) -> Any:
    """The table as MLflow takes examples: lists of lists as such, of which pyarrow's own would be arrays of arrays, and times
    in UTC without a zone. A predictor is given either as seconds since 1970."""
    for number, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) and field.type.tz is not None:
            table = table.set_column(number, field.name, table[number].cast(pa.timestamp(field.type.unit)))
    frame = table.to_pandas()
    for field in table.schema:
        if pa.types.is_nested(field.type):
            frame[field.name] = table[field.name].to_pylist()
    return frame


def _mlflow_type(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        from mlflow.types.schema import Array, DataType

        of = _mlflow_type(kind.value_type)
        # Lists hold Python's numbers, which MLflow takes for no narrower ones than they are.
        of = {"float": "double", "integer": "long"}.get(of, of) if isinstance(of, str) else of
        return Array(DataType[of] if isinstance(of, str) else of)
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long" if kind.bit_width > 32 else "integer"
    if pa.types.is_floating(kind):
        return "double" if kind.bit_width > 32 else "float"
    return "string"
