"""FederatedTraining: a training over sites, whose coordinator is a job that outlives the `up` that started it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from heliostat.federated import privacy
from heliostat.provider import inspecting, ray_work
from heliostat.provider.records import MODEL_TAG, complete_runs, open_registry, unless_deleted
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.provider.snapshots import require_judgeable
from heliostat.provider.training_changes import told
from heliostat.spec.base import shared
from heliostat.spec.federated import SITES_TAG, FederatedRules
from heliostat.spec.federated import told as described
from heliostat.spec.inspection import Role
from heliostat.spec.jobs import FederateSpecification
from heliostat.spec.training_resources import FederatedTrainingInputs, FederatedTrainingOutputs
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_registry import Run

_OF_THE_WORK: Final = frozenset({"coordinator", "round_seconds", "timeout_seconds", "ray", "gate", "problem", "experiment"})
"""Inputs that decide nothing about the model that comes out."""
_NOWHERE: Final = "http://next"
_UNSEEN: Final = "0" * 64
"""Stands in a preview for the digest of a snapshot that is not made yet, or for whatever else is not known before it is."""
_SITE_METRICS: Final = "site_"
_OF_ROUNDS: Final = ("moved", "sites", "loop_seconds")


class FederatedTrainingHandler(Handler[FederatedTrainingInputs, FederatedTrainingOutputs]):
    """A finished run with the same identity is adopted, a running coordinator is attached to, else sites are asked."""

    token = "heliostat:index:FederatedTraining"  # noqa: S105 - a type, no secret
    inputs = FederatedTrainingInputs
    outputs = FederatedTrainingOutputs
    gone = "its run is not in MLflow any more; the next `up` trains anew"
    replace_on = frozenset({"name"})
    preview_placeholders: ClassVar[Mapping[str, Any]] = {
        "dataset": {"uri": "file:///next", "digest": _UNSEEN},
        "store": {"uri": "file:///next"},
        "ray": {"url": "http://next"},
        "tracking_uri": _NOWHERE,
        "tracking_access": None,
    }

    def insignificant_inputs(self, old: FederatedTrainingInputs, new: FederatedTrainingInputs) -> frozenset[str]:
        """Only the identity decides: where the coordinator listens, or a site's new token, trains nothing anew."""
        if identity_of(old) == identity_of(new):
            return frozenset({"code", "dataset", "sites", *_OF_THE_WORK})
        return _OF_THE_WORK

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """That the entry point is no federation, cannot be clipped, or that its model could not be judged as the gate asks."""
        role = Role.PRIVATE_FEDERATION if given.get("privacy") else Role.FEDERATION
        return [*inspecting.gate_failures(given), *await inspecting.of_entry_point(given, role, "entryPoint")]

    async def preview(self, context: Context, old: FederatedTrainingOutputs | None, new: FederatedTrainingInputs) -> None:
        """Say whether it will train, over how many sites, where those connect to, and what noise is worth.

        Raises:
            PermanentError: its models could not be judged.
        """
        if old is not None and identity_of(old) == identity_of(new):
            return
        if new.dataset.digest != _UNSEEN and new.tracking_uri != _NOWHERE:
            if await asyncio.to_thread(_finished_run, new, True):
                context.info(f"will adopt the finished training of {new.name} with the same code, parameters and data version")
                return
            await _require_worth_it(new)
        context.info(f"will train {new.name} {described(new, len(new.sites))}{_why(old, new)}")
        listener = new.coordinator
        context.info(
            f"it waits for the sites {', '.join(sorted(new.sites))}: each runs `heliostat site run NAME --coordinator "
            f"{'https' if listener.certificate else 'http'}://{listener.host}:{listener.port} --rows FOLDER`"
        )
        if new.privacy is not None:
            context.info(privacy.told(new.privacy, new.rounds))
            if new.privacy.delta >= 1 / len(new.sites):
                context.warn(
                    f"δ = {new.privacy.delta:g} is no less than 1 / {len(new.sites)} sites: one of them might be given away"
                )

    async def create(self, context: Context, inputs: FederatedTrainingInputs) -> Created[FederatedTrainingOutputs]:
        """Train, or adopt what an earlier `up` trained."""
        outputs = await _trained(context, inputs)
        return Created(f"{inputs.name}-{outputs.digest[:12]}", outputs)

    async def read(
        self, context: Context, identifier: str, outputs: FederatedTrainingOutputs
    ) -> FederatedTrainingOutputs | None:
        """A finished training stays finished, whatever became of its sites; it is gone where its run is deleted."""

        def recorded() -> FederatedTrainingOutputs | None:
            with open_registry(outputs) as registry:
                return outputs if registry.run(outputs.run_id) else None

        return await unless_deleted(context, outputs.name, outputs, recorded)

    async def update(
        self, context: Context, identifier: str, old: FederatedTrainingOutputs, new: FederatedTrainingInputs
    ) -> FederatedTrainingOutputs:
        """Train what changed; the old run stays, for versions of the model name it."""
        if identity_of(old) == identity_of(new):
            return old.model_copy(update={name: getattr(new, name) for name in FederatedTrainingInputs.model_fields})
        return await _trained(context, new)

    async def delete(self, context: Context, identifier: str, outputs: FederatedTrainingOutputs) -> None:
        """Nothing: runs are the history of the models."""


def identity_of(inputs: FederatedTrainingInputs) -> str:
    """The training's identity: what decides the model that comes out, as far as it is known here."""
    task = inputs.problem.task_identity if inputs.problem is not None else None
    return ray_work.digest_of(
        {
            "federated": inputs.name,
            "code": inputs.code.digest,
            "entry_point": inputs.entry_point,
            "dataset": inputs.dataset.digest,
            "parameters": inputs.parameters,
            "rules": _rules(inputs).model_dump(mode="json"),
            "sites": sorted(inputs.sites),
            "data_version": inputs.data_version,
            **({"task": task} if task else {}),
        }
    )


def _rules(inputs: FederatedTrainingInputs) -> FederatedRules:
    return FederatedRules(**shared(inputs, FederatedRules))


def _why(old: FederatedTrainingOutputs | None, new: FederatedTrainingInputs) -> str:
    """What is different, in words; empty for a first training."""
    if old is None:
        return ""
    parts = {
        "its code": (old.code.digest, new.code.digest),
        "what it is judged on": (old.dataset.digest, new.dataset.digest),
        "its parameters": (old.parameters, new.parameters),
        "its rules": (_rules(old), _rules(new)),
        "its sites": (sorted(old.sites), sorted(new.sites)),
        f"its data version ({old.data_version!r} -> {new.data_version!r})": (old.data_version, new.data_version),
    }
    changed = [f"{what} changed" for what, (before, after) in parts.items() if before != after]
    return f": {', '.join(changed)}" if changed else ""


async def _trained(context: Context, inputs: FederatedTrainingInputs) -> FederatedTrainingOutputs:
    run = await asyncio.to_thread(_finished_run, inputs, False)
    if run is not None:
        context.info(f"{inputs.name}: a finished training with the same code, parameters and data version is there: adopted")
        return _outputs(inputs, run)
    await _require_worth_it(inputs)
    await ray_work.run(_work(inputs), context, lambda progress: context.progress(told(progress)))
    run = await asyncio.to_thread(_finished_run, inputs, False)
    if run is None:
        raise PermanentError(
            f"the training of {inputs.name} ended well and its run is not in MLflow at {inputs.tracking_uri}: was it deleted?"
        )
    outputs = _outputs(inputs, run)
    if missing := sorted(inputs.sites.keys() - outputs.rows.keys()):
        context.warn(f"{inputs.name}: the last round was without {', '.join(missing)}")
    return outputs


async def _require_worth_it(inputs: FederatedTrainingInputs) -> None:
    """See that what comes out can be judged, before anybody is asked."""
    if inputs.gate is not None:
        await require_judgeable(inputs.gate, inputs.problem, inputs.dataset, inputs.store)


def _work(inputs: FederatedTrainingInputs) -> ray_work.Work:
    digest = identity_of(inputs)

    def specification(submission_id: str) -> FederateSpecification:
        return FederateSpecification(
            name=inputs.name,
            digest=digest,
            entry_point=inputs.entry_point,
            code_digest=inputs.code.digest,
            dataset_key=ray_work.key_of(inputs.dataset.uri, inputs.store),
            dataset_digest=inputs.dataset.digest,
            parameters=inputs.parameters,
            problem=inputs.problem,
            experiment=inputs.experiment,
            rules=_rules(inputs),
            sites=inputs.sites,
            coordinator=inputs.coordinator,
            round_seconds=inputs.round_seconds,
            timeout_seconds=inputs.timeout_seconds,
            store=inputs.store,
            tracking_uri=inputs.tracking_uri,
            submission_id=submission_id,
        )

    return ray_work.Work(
        what=f"the federated training of {inputs.name}",
        module="heliostat.jobs.federate",
        base=f"federate-{inputs.name}-{digest[:12]}",
        specification=specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
        timeout_seconds=inputs.timeout_seconds,
    )


def _finished_run(inputs: FederatedTrainingInputs, forgiving: bool) -> Run | None:
    """The run of a training with this identity that went to its end; `forgiving`: None where MLflow is not up yet."""
    return next(iter(complete_runs(inputs, identity_of(inputs), forgiving)), None)


def _outputs(inputs: FederatedTrainingInputs, run: Run) -> FederatedTrainingOutputs:
    sites = json.loads(run.tags.get(SITES_TAG, "{}"))
    return FederatedTrainingOutputs(
        **{name: getattr(inputs, name) for name in FederatedTrainingInputs.model_fields},
        digest=identity_of(inputs),
        run_id=run.run_id,
        model_uri=run.tags[MODEL_TAG],
        metrics={
            name: value
            for name, value in sorted(run.metrics.items())
            if not name.startswith((_SITE_METRICS, "test_", "validation_", "baseline_test_")) and name not in _OF_ROUNDS
        },
        rows={name: site["rows"] for name, site in sites.items()},
    )
