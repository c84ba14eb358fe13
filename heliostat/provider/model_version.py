"""ModelVersion: the version to serve, admitted by the gate, or pinned."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from heliostat.provider import gate, inspecting
from heliostat.provider.evaluations import deciding, evaluation_of
from heliostat.provider.properties import UNKNOWN
from heliostat.provider.records import open_registry, unless_deleted
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.provider.snapshots import require_judgeable
from heliostat.provider.switches import switches_of
from heliostat.spec.inspection import Role
from heliostat.spec.judging import judged_by
from heliostat.spec.model_resources import ModelVersionInputs, ModelVersionOutputs
from heliostat.spec.monitoring import Acceptance, Refusal
from heliostat.spec.snapshot_settings import SAMPLE_TAG, sample_text
from heliostat.spec.workload import OnRefusal
from heliostat.systems import gate_notes
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_lineage import DATA_TAG
from heliostat.systems.mlflow_registry import RegisteredVersion
from heliostat.systems.objects import open_store

_NEXT = "models:/candidate"
"""Stands in a preview for a model that is not trained yet."""
_UNSEEN = "0" * 64
"""The digest of a snapshot that is not made yet."""
_PLACES = frozenset({"ray", "controller", "code", "tracking_access"})
"""Inputs that say where things are reached, and with what code nothing is judged."""


class ModelVersionHandler(Handler[ModelVersionInputs, ModelVersionOutputs]):
    """Measures a candidate against what serves, once, and registers it where the gate lets it pass.

    The measurement is kept under the digests of what was measured, so a candidate that was refused is refused again at once;
    asked to retry what was refused, it is measured again.
    """

    token = "heliostat:index:ModelVersion"  # noqa: S105 - a type, no secret
    inputs = ModelVersionInputs
    outputs = ModelVersionOutputs
    gone = "the registry does not have it any more; the next `up` judges and registers it anew"
    replace_on = frozenset({"name"})
    # The run of a training is known once it has begun; what its model will be judged by, and against what, is known before.
    preview_placeholders: ClassVar[Mapping[str, Any]] = {
        "run_id": _NEXT,
        "model_uri": _NEXT,
        "dataset": {"uri": _NEXT, "digest": _UNSEEN},
    }

    def insignificant_inputs(self, old: ModelVersionInputs, new: ModelVersionInputs) -> frozenset[str]:
        """Where things are reached means nothing, nor does the code: a model is judged with the code it was logged with."""
        same = {"problem"} if deciding(old) == deciding(new) else set()
        return _PLACES - {"tracking_access"} | same

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """That the entry point is no predictor, or that the gate asks for what the task does not have."""
        failures = [*inspecting.gate_failures(given)]
        for number, metric in enumerate((given.get("problem") or {}).get("metrics", ())):
            failures += await inspecting.of_metric(given, str(metric["function"]), f"problem.metrics[{number}].function")
        return [*failures, *await inspecting.of_entry_point(given, Role.PREDICTOR, "entryPoint")]

    def early_outputs(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Which version a pin takes, whatever the data will be."""
        pin = given.get("pin")
        return {"served_model_uri": pin, "version": int(pin.rpartition("/")[2])} if pin and pin != UNKNOWN else {}

    async def preview(self, context: Context, old: ModelVersionOutputs | None, new: ModelVersionInputs) -> None:
        """Say what is judged against what.

        Raises:
            PermanentError: the pinned version is not there, the gate does not fit the data, or what serves cannot be measured.
        """
        if new.pin:
            await asyncio.to_thread(_pinned, new)
            return
        if new.dataset.digest != _UNSEEN:
            await require_judgeable(new.gate, new.problem, new.dataset, new.store)
        if old is None or old.model_uri != new.model_uri:
            try:
                incumbent = await _incumbent(new)
            except RetryableError as error:
                context.info(f"against what it will be judged cannot be said before the controller is up ({error})")
                return
            candidate = "the new model" if new.model_uri == _NEXT else new.model_uri
            context.info(f"will judge {candidate} against {incumbent or 'the baseline alone: nothing serves yet'}")
            if incumbent:
                await asyncio.to_thread(_require_artifacts, new, incumbent)

    async def create(self, context: Context, inputs: ModelVersionInputs) -> Created[ModelVersionOutputs]:
        """Judge and register, or take the pinned version."""
        return Created(inputs.name, await _decided(context, inputs))

    async def read(self, context: Context, identifier: str, outputs: ModelVersionOutputs) -> ModelVersionOutputs | None:
        """Gone where the registry no longer has the version."""

        def recorded() -> ModelVersionOutputs | None:
            version = _version(outputs, outputs.served_model_uri)
            return outputs.model_copy(update={"served_data_digest": _data_digest(version)}) if version else None

        return await unless_deleted(context, outputs.name, outputs, recorded)

    async def update(
        self, context: Context, identifier: str, old: ModelVersionOutputs, new: ModelVersionInputs
    ) -> ModelVersionOutputs:
        """Judge the new candidate."""
        if all(getattr(old, name) == getattr(new, name) for name in ModelVersionInputs.model_fields if name not in _PLACES):
            return old.model_copy(update={name: getattr(new, name) for name in ModelVersionInputs.model_fields})
        return await _decided(context, new)

    async def delete(self, context: Context, identifier: str, outputs: ModelVersionOutputs) -> None:
        """Nothing: registered versions are the history to go back to."""


async def _decided(context: Context, inputs: ModelVersionInputs) -> ModelVersionOutputs:
    if inputs.pin:
        version = await asyncio.to_thread(_pinned, inputs)
        return _outputs(inputs, version, "pinned", "")
    if not (inputs.run_id and inputs.model_uri):
        raise PermanentError(f"the model version {inputs.name} names no candidate: give runId and modelUri, or pin")
    incumbent = await _incumbent(inputs)
    serving = await asyncio.to_thread(_version, inputs, incumbent) if incumbent else None
    if serving and serving.run_id == inputs.run_id:
        context.info(f"{inputs.name}: the candidate is {serving.uri}, which serves")
        return _outputs(inputs, serving, "accepted", serving.tags.get("heliostat.report", ""))
    report, report_uri, known = await evaluation_of(context, inputs, serving)
    verdict = _judged(inputs, report, serving)
    if known and not verdict.accepted and switches_of(os.environ).retry_refused:
        context.info(f"{inputs.name}: the candidate was refused before; it is measured again")
        report, report_uri, known = await evaluation_of(context, inputs, serving, again=True)
        verdict = _judged(inputs, report, serving)
    if report.get("incomparable"):
        context.warn(f"{inputs.name}: judged against the baseline alone, for {report['incomparable']}")
    if verdict.accepted:
        version = await asyncio.to_thread(_register, inputs, verdict, report_uri)
        await asyncio.to_thread(_note_acceptance, inputs, version, verdict, report_uri)
        context.info(f"{inputs.name}: accepted as version {version.version}: {verdict.summary}{_of_sample(inputs)}")
        return _outputs(inputs, version, "accepted", report_uri)
    await asyncio.to_thread(_tag_run, inputs, _refusal(verdict, report_uri))
    await asyncio.to_thread(_note_refusal, inputs, verdict, report_uri)
    return _refused(context, inputs, verdict, serving, report_uri, known)


def _refusal(verdict: gate.Verdict, report_uri: str) -> dict[str, str]:
    return {
        "heliostat.verdict": "refused",
        "heliostat.refusal": "; ".join(verdict.reasons),
        "heliostat.report": report_uri,
    }


def _note_refusal(inputs: ModelVersionInputs, verdict: gate.Verdict, report_uri: str) -> None:
    """Tell the application's monitor, once for each candidate: a worse one is an alarm."""
    said = {"report": report_uri, "by_group": verdict.by_group}
    told = Refusal(at=time.time(), candidate=inputs.model_uri, reasons=verdict.reasons, **said)
    gate_notes.note(open_store(inputs.store), inputs.application, str(inputs.run_id), told)


def _note_acceptance(inputs: ModelVersionInputs, version: RegisteredVersion, verdict: gate.Verdict, report_uri: str) -> None:
    """Keep what the gate said for whoever looks at the application later, once for each candidate."""
    said = {"report": report_uri, "by_group": verdict.by_group}
    told = Acceptance(at=time.time(), version=version.uri, summary=verdict.summary, **said)
    gate_notes.note(open_store(inputs.store), inputs.application, str(inputs.run_id), told)


def _refused(
    context: Context,
    inputs: ModelVersionInputs,
    verdict: gate.Verdict,
    serving: RegisteredVersion | None,
    report_uri: str,
    known: bool,
) -> ModelVersionOutputs:
    """Keep what serves where the stack asks for that.

    Raises:
        PermanentError: with what refuses the candidate as a table, and where the whole report is.
    """
    before = " (measured at an earlier update, not again)" if known else ""
    against = f"against {serving.uri}, which serves:" if serving else "against the baseline alone:"
    told = [f"the model {inputs.model_uri} is refused{before}{_of_sample(inputs)}", against, *verdict.table()]
    whole = ["the whole report:", report_uri, f"its figures, in MLflow at {inputs.tracking_uri}:", f"run {inputs.run_id}"]
    if inputs.gate.on_refusal is OnRefusal.KEEP and serving:
        kept = f"{serving.uri} goes on serving, as gate.onRefusal: keep asks"
        context.warn("\n".join([*told, kept, *whole]))
        return _outputs(inputs, serving, "kept", report_uri)
    stays = f"{serving.uri} goes on serving" if serving else "nothing serves yet"
    fix = ["Change the training, its data or the gate's margins;", "`up --retry-refused` measures it once more"]
    raise PermanentError("\n".join([*told, stays, *fix, *whole]))


async def _incumbent(inputs: ModelVersionInputs) -> str | None:
    """The model that the application answers with now."""
    async with ControllerClient(inputs.controller) as controller:
        status = await controller.read(inputs.application)
    return status.serving.model_uri if status and status.serving else None


def _judged(inputs: ModelVersionInputs, report: dict[str, Any], serving: RegisteredVersion | None) -> gate.Verdict:
    metric = judged_by(inputs.gate, inputs.problem)
    if metric is None:
        return gate.with_fairness(gate.unjudged(), inputs.gate, report["candidate"])
    candidate = gate.figures_of(inputs.model_uri or "", report["candidate"], metric)
    assert candidate is not None  # noqa: S101 - a report has a candidate
    baseline = gate.figures_of("the baseline", report["baseline"], metric)
    incumbent = gate.figures_of(serving.uri, report["incumbent"], metric) if serving else None
    asked = inputs.gate.model_copy(update={"metric": metric})
    verdict = gate.judge(asked, report["higherIsBetter"], candidate, baseline, incumbent)
    return gate.with_fairness(verdict, inputs.gate, report["candidate"])


def _register(inputs: ModelVersionInputs, verdict: gate.Verdict, report_uri: str) -> RegisteredVersion:
    with open_registry(inputs) as registry:
        version = registry.register(
            inputs.name,
            inputs.model_uri or "",
            inputs.run_id or "",
            f"Accepted by the gate: {verdict.summary}{_of_sample(inputs)}",
            {"heliostat.report": report_uri, DATA_TAG: inputs.dataset.digest, **_sample_tag(inputs)},
        )
        registry.log(inputs.run_id or "", tags={"heliostat.verdict": "accepted", "heliostat.version": str(version.version)})
    return version


def _of_sample(inputs: ModelVersionInputs) -> str:
    """That figures are of a sample; empty where they are of all rows."""
    share = inputs.dataset.sample
    return f" (measured on {sample_text(share)})" if share is not None else ""


def _sample_tag(inputs: ModelVersionInputs) -> dict[str, str]:
    share = inputs.dataset.sample
    return {SAMPLE_TAG: str(share)} if share is not None else {}


def _tag_run(inputs: ModelVersionInputs, tags: dict[str, str]) -> None:
    with open_registry(inputs) as registry:
        registry.log(inputs.run_id or "", tags={name: value[:5000] for name, value in tags.items()})


def _pinned(inputs: ModelVersionInputs) -> RegisteredVersion:
    version = _version(inputs, inputs.pin or "")
    if version is None:
        raise PermanentError(f"the pinned version {inputs.pin} is not in MLflow at {inputs.tracking_uri}: pin one that is")
    return version


def _require_artifacts(inputs: ModelVersionInputs, incumbent: str) -> None:
    """See that what serves can be measured beside a candidate, before that is trained.

    Raises:
        PermanentError: its artifacts are gone.
    """
    try:
        with open_registry(inputs) as registry:
            registry.require_artifacts(registry.location(incumbent))
    except RetryableError:  # MLflow is not up yet
        return


def _version(inputs: ModelVersionInputs, uri: str) -> RegisteredVersion | None:
    with open_registry(inputs) as registry:
        return registry.version(uri)


def _data_digest(version: RegisteredVersion) -> str:
    return version.tags.get(DATA_TAG, "")


def _outputs(inputs: ModelVersionInputs, version: RegisteredVersion, verdict: str, report_uri: str) -> ModelVersionOutputs:
    return ModelVersionOutputs(
        **{name: getattr(inputs, name) for name in ModelVersionInputs.model_fields},
        version=version.version,
        served_model_uri=version.uri,
        served_run_id=version.run_id,
        served_data_digest=_data_digest(version),
        verdict=verdict,
        report_uri=report_uri,
    )
