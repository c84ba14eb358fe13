"""What a card is made of, from a stack's resources, its object store and its registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from heliostat.gitops.model_card import Card
from heliostat.governance.cards import DataFacts, ModelFacts
from heliostat.spec.training_report import TrainingReport, report_key
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, ObjectStore

Resources = Sequence[Mapping[str, Any]]
_KEPT = "kept"


def model_facts(name: str, store: ObjectStore, resources: Resources, known_of: Callable[[str], Card]) -> ModelFacts:
    """Of the version that a stack has of a model.

    The training of the state is the one that came last, which need not be this version's: it may be pinned, or have been kept
    where a candidate was refused. The registry (`known_of`, by the version's URI) is asked then.

    Raises:
        PermanentError: the stack has none.
    """
    version = _outputs(resources, "ModelVersion", name) or _outputs(resources, "ExternalModel", name)
    if version is None:
        raise PermanentError(f"the stack has no ModelVersion {name!r}: bring it up with `heliostat up`")
    verdict, run = str(version.get("verdict", "")), str(version.get("servedRunId", ""))
    found = ModelFacts(
        name=name, version=int(version["version"]), uri=str(version.get("servedModelUri", "")),
        verdict="accepted; the candidate after it was refused" if verdict == _KEPT else verdict, run_id=run,
        data_digest=str(version.get("servedDataDigest", "")),
        evaluation=_of_version(_json_at(store, version.get("reportUri")), verdict),
    )  # fmt: skip
    training = _outputs(resources, "TrainJob", name) or {}
    if run and training.get("runId") == run and verdict != _KEPT:
        return replace(found, **_of_training(training, store))
    try:
        card = known_of(found.uri)
    except (PermanentError, RetryableError) as error:
        return replace(found, notes=(f"How it was trained is not known here: {error}",))
    evaluation = dict(card.report) if card.report is not None else found.evaluation
    return replace(
        found, run_id=card.run_id, data_digest=card.data_digest, parameters=card.parameters, evaluation=evaluation,
        training=_report_of(store, name, card),
    )  # fmt: skip


def of_serving(facts: ModelFacts, shares: Mapping[str, float]) -> ModelFacts:
    """The same, with what serves beside it or in its place; `shares` of the traffic by a model's URI, none where unknown."""
    others = [uri for uri, share in shares.items() if share and uri != facts.uri]
    if not others:
        return facts
    if shares.get(facts.uri):
        note = f"A part of the traffic is on {', '.join(others)}."
    else:
        note = f"It is not what serves: all traffic is on {', '.join(others)}."
    return replace(facts, notes=(*facts.notes, note))


def data_facts(name: str, store: ObjectStore, resources: Resources) -> DataFacts:
    """Of the snapshot that a stack has of a data set.

    Raises:
        PermanentError: the stack has none, or its bytes are gone.
    """
    from heliostat.cli.datasets import catalogue

    data = _outputs(resources, "Dataset", name)
    if data is None:
        raise PermanentError(f"the stack has no Dataset {name!r}: bring it up with `heliostat up`")
    manifest = _json_at(store, f"{data['address']['uri']}/manifest.json")
    if manifest is None:
        raise PermanentError(f"the snapshot {data['address']['uri']} is gone")
    digest = manifest["digest"]
    stored = next((each for each in catalogue.read(store, name).of(name) if each.digest == digest), None)
    parents = [parent for making in (stored.makings if stored is not None else ()) for parent in making.parents]
    version = _outputs(resources, "ModelVersion", name) or {}
    trained_on = version.get("servedDataDigest") or digest
    notes: tuple[str, ...] = ()
    if trained_on != digest:
        notes = (f"What serves, version {version['version']}, was trained on other data: {trained_on}.",)
    return DataFacts(name, manifest, _json_at(store, data.get("statisticsUri")) or {}, tuple(dict.fromkeys(parents)), notes)


def _of_version(report: dict[str, Any] | None, verdict: str) -> dict[str, Any] | None:
    """The measurement of the version itself: where it was kept, the report is of the candidate that it was measured beside."""
    if report is None or verdict != _KEPT:
        return report
    mine = report.get("incumbent")
    return {**report, "candidate": mine, "incumbent": None} if mine else None


def _of_training(training: Mapping[str, Any], store: ObjectStore) -> dict[str, Any]:
    found = _json_at(store, training.get("reportUri"))
    report = TrainingReport.model_validate(found) if found else None
    return {
        "code_digest": str((training.get("code") or {}).get("digest", "")),
        "parameters": {**(training.get("parameters") or {}), **(report.chosen if report is not None else {})},
        "training": report,
    }


def _report_of(store: ObjectStore, name: str, card: Card) -> TrainingReport | None:
    """The report of the training that a version is of, as far as it is kept here.

    A training that its budget ended may be run again: its report is of the run that came last, which need not be this one.
    """
    if not card.training:
        return None
    try:
        report = TrainingReport.model_validate_json(store.get(report_key(name, card.training)))
    except (ObjectMissingError, ValidationError):
        return None
    return report if report.run_id == card.run_id else None


def _outputs(resources: Resources, kind: str, name: str) -> dict[str, Any] | None:
    for each in resources:
        if each.get("type") == f"heliostat:index:{kind}" and str(each.get("urn", "")).rpartition("::")[2] == name:
            return dict(each.get("outputs") or {})
    return None


def _json_at(store: ObjectStore, uri: Any) -> dict[str, Any] | None:
    """The JSON object that an address in the store names; None where there is none any more."""
    top = store.uri("_")[:-1]
    if not uri or not str(uri).startswith(top):
        return None
    try:
        found: dict[str, Any] = json.loads(store.get(str(uri).removeprefix(top)))
    except ObjectMissingError:
        return None
    return found
