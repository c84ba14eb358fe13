"""A trained model as an MLflow model: with signature, input example, requirements and the code that it needs.

No pickle: the model is the files that the workload saved, and `heliostat.ml.pyfunc` loads them. Only the training's
driver imports this, for it imports mlflow.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from heliostat.jobs import scoring
from heliostat.spec.code import library_of

NAME: Final = "model"
DATA_FOLDER: Final = "trained"
_PACKAGES: Final = ("mlflow", "numpy", "pandas", "pyarrow", "pydantic", "httpx")
_FRAMEWORKS: Final = ("lightgbm",)
"""Required where they are installed: a training can have used no other."""
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


def log_model(run_id: str, folder: Path, label: str, example: pa.Table) -> str:
    """Log what a training handed back in `folder` as the run's model, and return `models:/<model id>`."""
    import mlflow

    with mlflow.start_run(run_id=run_id), tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary, DATA_FOLDER)
        shutil.copytree(folder, data)
        inputs = example.drop_columns([label])
        info = mlflow.pyfunc.log_model(
            name=NAME,
            loader_module=_LOADER,
            data_path=str(data),
            code_paths=_code(Path(temporary, "code")),
            signature=_signature(inputs.schema),
            input_example=inputs.to_pandas(),
            pip_requirements=_requirements(),
            metadata={scoring.METADATA_KEY: scoring.PROGRAM},
        )
        return f"models:/{info.model_id}"


def _requirements() -> list[str]:
    frameworks = [name for name in _FRAMEWORKS if importlib.util.find_spec(name)]
    return [f"{name}=={importlib.metadata.version(name)}" for name in (*_PACKAGES, *frameworks)]


def _code(folder: Path) -> list[str]:
    """The library's part that predictors use, and the workload's code of this job: the working directory."""
    import heliostat

    top, root, target = Path(heliostat.__file__).parents[1], Path.cwd(), folder / "heliostat"
    for name in library_of(root, *_LIBRARY):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(top / name, folder / name)
    shutil.copytree(root / "workloads", folder / "workloads", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return [str(target), str(folder / "workloads")]


def _signature(schema: pa.Schema) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    inputs: list[Any] = [ColSpec(_mlflow_type(field.type), field.name) for field in schema]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec("double", "score")]))


def _mlflow_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long" if kind.bit_width > 32 else "integer"
    if pa.types.is_floating(kind):
        return "double" if kind.bit_width > 32 else "float"
    return "string"
