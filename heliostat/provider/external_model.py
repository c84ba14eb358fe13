"""ExternalModel: a model that others logged, found by its address, held to the workload's contract, and registered.

Nothing judges it: it was trained elsewhere, on data that nobody declared. The contract's golden requests do, when its replicas
start, and the application's strategy does.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from heliostat.provider.properties import UNKNOWN
from heliostat.provider.records import unless_deleted
from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.environments import differences, needed, unreadable
from heliostat.spec.logged_models import LoggedModel, LoggedModelError, ModelEnvironment, parsed, python_mistake
from heliostat.spec.model_resources import ExternalModelInputs, ExternalModelOutputs
from heliostat.spec.model_signatures import misfits
from heliostat.systems import model_environments
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.external_models import MODEL_FILE, ExternalModels, Located, fetch_folder
from heliostat.systems.objects import open_store

_TASK_TAG = "heliostat.task"
_PLACES = frozenset({"tracking_access"})


@dataclass(frozen=True)
class _Seen:
    """A model that was looked at and can be served."""

    located: Located
    model: LoggedModel
    digest: str
    packages: tuple[str, ...]
    """Of its own environment; empty where it needs none."""


class ExternalModelHandler(Handler[ExternalModelInputs, ExternalModelOutputs]):
    """Looks at a model's description, never at its code, and makes it a version that is served as any other."""

    token = "heliostat:index:ExternalModel"  # noqa: S105 - a type, no secret
    inputs = ExternalModelInputs
    outputs = ExternalModelOutputs
    gone: ClassVar[str] = "the registry does not have it any more; the next `up` registers it anew"
    replace_on = frozenset({"name"})

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        """What the newest preview of each has looked at, by name: what comes of it is told without another look."""

    def insignificant_inputs(self, old: ExternalModelInputs, new: ExternalModelInputs) -> frozenset[str]:
        """How MLflow is reached says nothing of the model."""
        return _PLACES

    def early_outputs(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Which version an address names that has its number."""
        source = given.get("source")
        if not isinstance(source, str) or source == UNKNOWN or not source.startswith("models:/"):
            return {}
        number = source.rpartition("/")[2]
        return {"served_model_uri": source, "version": int(number)} if number.isdigit() else {}

    async def preview(self, context: Context, old: ExternalModelOutputs | None, new: ExternalModelInputs) -> None:
        """Say which model it is, and what of its environment is its own.

        Raises:
            PermanentError: there is no such model, it is not whole, does not fit the contract, or cannot be loaded here.
        """
        self._seen.pop(new.name, None)
        try:
            seen = self._seen[new.name] = await asyncio.to_thread(_looked_at, new)
        except RetryableError as error:
            context.info(f"{new.source} cannot be looked at before MLflow is up ({error})")
            return
        if seen.located.version is not None:
            context.info(f"{new.source} is {seen.located.version.uri}, a {seen.model.flavour} model")
        else:
            context.info(f"will register {new.source}, a {seen.model.flavour} model, as a version of {new.name}")
        if seen.packages:
            context.info(f"its replicas get packages of its own: {', '.join(seen.packages)}")
        if seen.digest != new.recorded.digest:
            context.warn(
                f"the golden answers in the contract are of {new.recorded.model}: of {new.source}, only the form of "
                f"answers is tested before it gets traffic. `heliostat contract {new.name}` records its own"
            )

    def preview_outputs(self, old: ExternalModelOutputs | None, new: ExternalModelInputs) -> Mapping[str, Any]:
        """Which version it is, where it has one, and its environment, which is named by what is in it."""
        seen = self._seen.get(new.name)
        if seen is None:
            return {}
        environment = model_environments.named(seen.packages, open_store(new.store)) if seen.packages else None
        known: dict[str, Any] = {"environments": [environment.model_dump(mode="json", by_alias=True)] if environment else []}
        version = seen.located.version
        return known | ({"served_model_uri": version.uri, "version": version.version} if version is not None else {})

    async def create(self, context: Context, inputs: ExternalModelInputs) -> Created[ExternalModelOutputs]:
        """Register it where it is not, and store its environment."""
        return Created(inputs.name, await self._brought(context, inputs))

    async def read(self, context: Context, identifier: str, outputs: ExternalModelOutputs) -> ExternalModelOutputs | None:
        """Gone where the registry no longer has the version; an alias that names another one shows as another source."""

        def recorded() -> ExternalModelOutputs | None:
            with _opened(outputs) as models:
                version = models.version(outputs.served_model_uri)
                if version is None:
                    return None
                if "@" not in outputs.source:
                    return outputs
                now = models.located(outputs.source).version
            same = now is not None and now.uri == outputs.served_model_uri
            return outputs if same else outputs.model_copy(update={"source": outputs.served_model_uri})

        return await unless_deleted(context, outputs.name, outputs, recorded)

    async def update(
        self, context: Context, identifier: str, old: ExternalModelOutputs, new: ExternalModelInputs
    ) -> ExternalModelOutputs:
        """Take the new one."""
        return await self._brought(context, new)

    async def delete(self, context: Context, identifier: str, outputs: ExternalModelOutputs) -> None:
        """Nothing: registered versions are the history to go back to."""

    async def _brought(self, context: Context, inputs: ExternalModelInputs) -> ExternalModelOutputs:
        seen = await asyncio.to_thread(_looked_at, inputs)
        version = await asyncio.to_thread(_registered, inputs, seen)
        environments: tuple[ModelEnvironment, ...] = ()
        if seen.packages:
            context.progress(f"{inputs.name}: its environment, {', '.join(seen.packages)}")
            store = open_store(inputs.store)
            environments = (await asyncio.to_thread(model_environments.upload, seen.packages, store),)
        return ExternalModelOutputs(
            **{name: getattr(inputs, name) for name in ExternalModelInputs.model_fields},
            version=version.version,
            served_model_uri=version.uri,
            environments=environments,
        )


def _opened(inputs: ExternalModelInputs) -> ExternalModels:
    return ExternalModels(inputs.tracking_uri, access=inputs.tracking_access)


def _looked_at(inputs: ExternalModelInputs) -> _Seen:
    """The model, as its description has it.

    Raises:
        PermanentError: it is not there, or cannot be served as the contract says; the text has every reason.
    """
    with _opened(inputs) as models:
        located = models.located(inputs.source)
        described = models.text(located, MODEL_FILE, inputs.store)
        requirements = models.text(located, "requirements.txt", inputs.store) or ""
    if described is None:
        raise PermanentError(f"{inputs.source} holds no {MODEL_FILE}: name what MLflow logged as a model")
    try:
        found = YAML(typ="safe", pure=True).load(described)
        model = parsed(inputs.source, found if isinstance(found, dict) else {}, requirements)
    except (YAMLError, LoggedModelError) as error:
        raise PermanentError(str(error)) from None
    asked = needed(model, inputs.interface.loader)
    if wrong := _wrong(inputs, model, asked):
        raise PermanentError(
            f"{inputs.source} cannot be served by workloads/{inputs.name.replace('-', '_')}/contract.yaml:"
            + "".join(f"\n  {each}" for each in wrong)
        )
    packages: tuple[str, ...] = ()
    if differences(asked, model_environments.version_of):
        packages = model_environments.resolved(asked)
    return _Seen(located, model, hashlib.sha256(described.encode()).hexdigest(), packages)


def _wrong(inputs: ExternalModelInputs, model: LoggedModel, asked: tuple[str, ...]) -> list[str]:
    """Why a model cannot be served, all reasons at once."""
    wrong = misfits(inputs.interface, model)
    if mistake := python_mistake(model, model_environments.python_version()):
        wrong.append(mistake)
    if lines := unreadable(asked):
        wrong.append(
            f"its requirements.txt has lines that are no package of a registry: {', '.join(lines)}. Log it again with "
            "`pip_requirements=` of packages and versions"
        )
    return wrong


def _registered(inputs: ExternalModelInputs, seen: _Seen) -> Any:
    tags = {_TASK_TAG: inputs.task.value}
    with _opened(inputs) as models:
        if not seen.located.is_elsewhere:
            return models.registered(seen.located, inputs.name, None, tags)
        with tempfile.TemporaryDirectory(prefix="heliostat-model-") as folder:
            fetch_folder(seen.located.location, inputs.store, Path(folder))
            return models.registered(seen.located, inputs.name, Path(folder), tags)
