"""How the digits workload trains: what one training worker runs, in step with the others or for a parameter server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.contracts import Columns, columns_of
from heliostat.ml.extras import require
from heliostat.ml.frameworks.jax.group import Group, alone, join
from heliostat.ml.in_memory import measured
from heliostat.ml.training import Context, Trained
from workloads.digits.model import begun
from workloads.digits.parameters import Training
from workloads.digits.predictor import Model, images_of

require("jax", extra="jax")

_STATE = "training.npz"
_VELOCITY = "velocity."
Arrays = dict[str, NDArray[Any]]


def train(context: Context) -> None:
    """The network, on all images in step, or on this worker's part of them for a parameter server.

    Raises:
        pydantic.ValidationError: parameters that do not fit, all named at once.
        ValueError: batches that the devices cannot share.
    """
    parameters = Training.model_validate(context.parameters)
    served = context.distribution.kind == "parameter-server" and context.workers > 1
    weights = _asynchronously(context, parameters) if served else _in_step(context, parameters)
    if context.rank:
        context.finish(None)
        return
    model = Model(weights)
    validation = context.dataset.table("validation")
    label = context.dataset.manifest()["label"]
    context.finish(Trained(model.save, Model, measured(model, validation, label, context.problem)))


def _in_step(context: Context, parameters: Training) -> Arrays:
    """Each step is of one batch, shared by all workers: the model is the same, however many they are."""
    from workloads.digits.steps import step

    group = join(context)
    images, labels = _examples(context.dataset.table("train"))
    weights, velocity, epochs = _resumed(context, parameters)
    on_devices, moving = group.everywhere(weights), group.everywhere(velocity)
    for epoch in range(epochs, parameters.epochs):
        value = np.nan
        for rows in _batches(len(labels), parameters, epoch):
            mine = rows[group.part(len(rows))]
            batch = group.batch(images[mine]), group.batch(labels[mine])
            on_devices, moving, value = step(on_devices, moving, *batch, parameters.learning_rate, parameters.momentum)
        context.tell(epoch + 1, parameters.epochs, {"training_loss": float(value)}, epochs)
        over = epoch + 1 < parameters.epochs and context.is_over_budget()
        if over or _is_due(epoch, parameters):
            _checkpoint(context, group, on_devices, moving, epoch + 1)
        if over:
            break
    return group.fetched(on_devices)


def _asynchronously(context: Context, parameters: Training) -> Arrays:
    """Each worker goes through its own part at its own pace; the server moves the weights by whatever comes."""
    from workloads.digits.steps import gradients

    alone(context)
    images, labels = _examples(context.dataset.table("train", None, context.rank, context.workers))
    first = begun(parameters.seed)
    server = context.parameter_server(lambda: first, _moved_by(parameters.learning_rate))
    _, weights = server.pull()
    for epoch in range(parameters.epochs):
        value = np.nan
        for rows in _batches(len(labels), parameters, epoch, parts=context.workers):
            value, slopes = gradients(dict(weights), images[rows], labels[rows])
            _, weights = server.push({name: np.asarray(slope) for name, slope in slopes.items()})
        context.tell(epoch + 1, parameters.epochs, {"training_loss": float(value)})
    _, weights = server.leave()
    return {name: np.asarray(array) for name, array in weights.items()}


def _moved_by(rate: float) -> Any:
    def update(weights: Any, slopes: Any) -> Any:
        return {name: weights[name] - np.float32(rate) * slopes[name] for name in weights}

    return update


def _examples(table: Any) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    columns: Columns = columns_of(table)
    return images_of(columns), np.asarray(columns["digit"], dtype=np.int32)


def _batches(rows: int, parameters: Training, epoch: int, parts: int = 1) -> Iterator[NDArray[np.int64]]:
    """The rows of each batch of an epoch, in an order of its own; what is left over waits for another order."""
    size = min(parameters.batch_rows // parts, rows)
    order = np.random.default_rng((parameters.seed, epoch)).permutation(rows)
    for start in range(0, rows - size + 1, size):
        yield order[start : start + size]


def _is_due(epoch: int, parameters: Training) -> bool:
    return (epoch + 1) % parameters.checkpoint_every == 0 and epoch + 1 < parameters.epochs


def _checkpoint(context: Context, group: Group, weights: Any, velocity: Any, epochs: int) -> None:
    def save(folder: Path) -> None:
        moving = {f"{_VELOCITY}{name}": array for name, array in group.fetched(velocity).items()}
        np.savez(folder / _STATE, epochs=np.array(epochs), **group.fetched(weights), **moving)  # type: ignore[arg-type]

    context.checkpoint(save, {"epochs": epochs})


def _resumed(context: Context, parameters: Training) -> tuple[Arrays, Arrays, int]:
    """Weights, their velocity and the epochs that are done; at the beginning those of the seed."""
    with context.resumed() as folder:
        if folder is None or not (folder / _STATE).is_file():
            weights = begun(parameters.seed)
            return dict(weights), {name: np.zeros_like(array) for name, array in weights.items()}, 0
        with np.load(folder / _STATE, allow_pickle=False) as found:
            kept = {name: found[name] for name in found.files}
    epochs = int(kept.pop("epochs"))
    velocity = {name.removeprefix(_VELOCITY): kept[name] for name in kept if name.startswith(_VELOCITY)}
    return {name: array for name, array in kept.items() if not name.startswith(_VELOCITY)}, velocity, epochs
