"""An MLflow run, or the folder of one or of a model, as a source: its model, signature, parameters and requirements.

A run keeps neither the data nor the code of the features: these are asked.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliostat.convert import running
from heliostat.convert.converting import Converted, Options
from heliostat.convert.questions import numbered
from heliostat.convert.rendering import of_run
from heliostat.convert.source import ConversionError, Question

MODEL_FILE = "MLmodel"
_SKOPS = "model.skops"


@dataclass(frozen=True)
class LoggedModel:
    """What an MLflow model tells."""

    estimator: str
    """The expression that makes it, unfitted."""
    classes: tuple[str, ...]
    """The paths of the classes in that."""
    inputs: tuple[tuple[str, str, bool], ...]
    """Name, MLflow's type and whether it has to be there, by column."""
    example: Mapping[str, Any] | None
    requirements: tuple[str, ...]
    parameters: Mapping[str, str]
    """Those that the run logged."""
    is_classifier: bool
    labels: tuple[Any, ...]


def is_run(source: str) -> bool:
    """Whether a source is a run or a model of MLflow."""
    return source.startswith(("runs:/", "models:/")) or Path(source).is_dir()


def convert_run(source: str, options: Options, tracking_uri: str | None) -> Converted:
    """The workload that a run becomes.

    Raises:
        ConversionError: it has no model of scikit-learn with a signature that can be read without running code of its own.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = _fetched(source, tracking_uri, Path(temporary)) if ":/" in source else _model_folder(Path(source))
        model = logged_model(folder, source)
    questions = list(_questions(model))
    files = of_run.files(options.name, options.interface, source, model.estimator, model.classes, model)
    made = running.formatted(files, options.config)
    module = options.name.replace("-", "_")
    asked = [each.text for each in questions if each.is_open]
    said = [each.text for each in questions if not each.is_open]
    made[f"workloads/{module}/QUESTIONS.md"] = "\n".join([
        f"# {options.name}, converted from {source}", "", "## To be answered", "", *numbered(asked), "",
        "## Decided and left out", "", *numbered(said), "",
    ])  # fmt: skip
    metric = "accuracy" if model.is_classifier else "r2"
    section = {"training": {"scaling": {"workers": 1}}, "gate": {"metric": metric, "margin": 0.01}}
    return Converted(made, section, questions)


def logged_model(folder: Path, source: str) -> LoggedModel:
    """What the model in a folder tells.

    Raises:
        ConversionError: it has no signature, is no model of scikit-learn's, or is a pickle.
    """
    from ruamel.yaml import YAML

    described: Any = YAML(typ="safe", pure=True).load((folder / MODEL_FILE).read_text())
    flavors = described.get("flavors", {})
    if "sklearn" not in flavors:
        there = ", ".join(sorted(flavors)) or "none"
        raise ConversionError(
            f"the model of {source} has the flavours {there}: one of scikit-learn is converted; others are served as they are"
        )
    data = folder / str(flavors["sklearn"].get("pickled_model", _SKOPS))
    if flavors["sklearn"].get("serialization_format") != "skops" or not data.is_file():
        raise ConversionError(
            f"the model of {source} is a pickle, which runs code as it is read: log it with "
            f"serialization_format='skops', or serve it as it is"
        )
    signature = described.get("signature") or {}
    if not signature.get("inputs"):
        raise ConversionError(
            f"the model of {source} has no signature, which names the columns of a request: log it with input_example="
        )
    columns = json.loads(signature["inputs"])
    if any("name" not in each for each in columns):
        raise ConversionError(f"the signature of {source} is of tensors, without names: name the columns of its input")
    estimator = _loaded(data)
    requirements = folder / "requirements.txt"
    return LoggedModel(
        estimator=" ".join(estimator.__repr__(N_CHAR_MAX=10**9).split()),
        classes=tuple(sorted(_paths(estimator))),
        inputs=tuple((each["name"], str(each["type"]), bool(each.get("required", True))) for each in columns),
        example=_example(folder, described),
        requirements=tuple(requirements.read_text().split("\n")) if requirements.is_file() else (),
        parameters=_parameters(folder),
        is_classifier=hasattr(estimator, "classes_"),
        labels=tuple(each.item() if hasattr(each, "item") else each for each in getattr(estimator, "classes_", ())),
    )


def _loaded(data: Path) -> Any:
    from heliostat.ml.frameworks.scikit_learn import keeping

    try:
        return keeping.load_skops(data)
    except ValueError as error:
        raise ConversionError(str(error)) from None


def _paths(estimator: Any) -> Iterator[str]:
    """The classes that the expression of an estimator names."""
    yield f"{type(estimator).__module__}:{type(estimator).__name__}"
    for value in estimator.get_params(deep=True).values():
        if hasattr(value, "get_params"):
            yield f"{type(value).__module__}:{type(value).__name__}"


def _model_folder(folder: Path) -> Path:
    """The model below a run's folder."""
    found = sorted(path.parent for path in folder.rglob(MODEL_FILE))
    if len(found) != 1:
        there = f"{len(found)}: {', '.join(map(str, found))}; name the folder of one" if found else "none"
        raise ConversionError(
            f"{folder} is the folder of a run or of a model where it holds one {MODEL_FILE}, and it holds {there}"
        )
    return found[0]


def _fetched(source: str, tracking_uri: str | None, target: Path) -> Path:
    """The model of a run, from the MLflow server."""
    from heliostat.systems.errors import PermanentError, RetryableError
    from heliostat.systems.mlflow_registry import Registry

    if not tracking_uri:
        raise ConversionError(f"{source} is on an MLflow server: name it with --tracking-uri, or in MLFLOW_TRACKING_URI")
    if not tracking_uri.startswith(("http://", "https://")):
        scheme = tracking_uri.partition(":")[0]  # what follows may have a password
        raise ConversionError(
            f"{source} is asked of an MLflow server, and --tracking-uri or MLFLOW_TRACKING_URI names a store, {scheme}:…: "
            "serve it (`mlflow server --backend-store-uri` that), and name the server by http://HOST:PORT"
        )
    try:
        with Registry(tracking_uri) as registry:
            uri = (
                source if source.startswith("models:") else registry.model_of(source.removeprefix("runs:/").partition("/")[0])
            )
            if uri is None:
                raise ConversionError(f"{source} is a run that logged no model, or none that is on {tracking_uri}")
            registry.download(registry.location(uri), target)
    except (PermanentError, RetryableError) as error:
        raise ConversionError(f"{source} cannot be had from {tracking_uri}: {error}") from None
    return _model_folder(target)


def _example(folder: Path, described: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first row of the input example."""
    name = (described.get("saved_input_example_info") or {}).get("artifact_path")
    if not name or not (folder / name).is_file():
        return None
    found = json.loads((folder / name).read_text())
    if not isinstance(found, dict) or "columns" not in found or not found.get("data"):
        return None
    return dict(zip(map(str, found["columns"]), found["data"][0], strict=True))


def _parameters(folder: Path) -> dict[str, str]:
    """The parameters beside the model, where its folder is one of a run's."""
    for parent in list(folder.parents)[:3]:
        if (parent / "params").is_dir():
            return {path.name: path.read_text().strip() for path in sorted((parent / "params").iterdir())}
    return {}


def _questions(model: LoggedModel) -> Iterator[Question]:
    yield Question(
        "a run does not keep its data: where do the rows come from, and how are they split? `load` and `split` in dataset.py"
    )
    yield Question("a run does not keep the label's name: which column of the data is it? LABEL in features.py")
    names = ", ".join(name for name, *_ in model.inputs)
    yield Question(
        f"a run does not keep the code that made its model's columns ({names}): are they what clients have, or are "
        f"they computed? `features` "
        "in features.py takes them as they are"
    )
    yield Question(
        "whether the workload answers as the run's model did is not known until it has data: no answers are recorded"
    )
    if model.example is None:
        yield Question(
            "the model has no input example, which the contract shows and is asked with: what is a row? EXAMPLE in contract.py"
        )
    if model.parameters:
        said = ", ".join(f"{name}={value}" for name, value in model.parameters.items())
        yield Question(
            f"the run logged these parameters; those of the estimator are what its model has: {said}", is_open=False
        )
    yield Question(f"the model is {model.estimator}", is_open=False)
