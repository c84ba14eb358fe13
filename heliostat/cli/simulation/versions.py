"""Versions in a simulation: what their training handed back, how they answer, and what the gate says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic_core import to_json

from heliostat.cli.simulation.declared import Declared
from heliostat.jobs.evaluate import measured
from heliostat.ml import datasets, pyfunc
from heliostat.ml.combining import Combining
from heliostat.ml.contracts import Contract, columns_of, fields_of, load_entry_point
from heliostat.ml.ensembles import load_model
from heliostat.ml.predictions import parts_of
from heliostat.ml.previous import Previous
from heliostat.ml.tasks import fairness
from heliostat.ml.tasks.evaluation import Evaluation
from heliostat.provider.gate import Measurements, Verdict, judge, with_fairness
from heliostat.serving.answering import Answering
from heliostat.serving.golden import GoldenFailures, passed
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ensembles import Combined, Ensemble
from heliostat.spec.judging import resolved_gate
from heliostat.spec.rollouts import Desired
from heliostat.spec.rollouts import Version as Declaration


@dataclass(frozen=True)
class Version:
    """A model that served, or serves, or is to."""

    number: int
    folder: Path
    """As its training handed it back."""
    dataset_key: str
    dataset_digest: str

    @property
    def label(self) -> str:
        """As the prediction log and rollouts have it."""
        return f"{self.number}-simulated"


class Model:
    """A version that can be asked, loaded with the first rows."""

    def __init__(self, asked: Declared, version: Version) -> None:
        self._asked, self._version = asked, version
        self._contract: Contract[Any, Any] = load_entry_point(asked.contract)

    @cached_property
    def _predictor(self) -> Any:
        return load_model(self._contract.predictor, self._version.folder / pyfunc.MODEL_FOLDER)

    def answers(self, rows: pa.Table) -> Sequence[bytes]:
        """What it answers to rows as a training has them, as JSON, one a row."""
        own = [name for name in fields_of(self._contract) if name in rows.column_names]
        predictions = self._predictor.predict(columns_of(rows.select(own)))
        return [to_json(self._contract.respond(part)) for part in parts_of(predictions)]

    @property
    def golden_failure(self) -> str:
        """Why it does not answer the contract's golden requests as it shall; empty where it does."""
        answering = Answering(self._contract, self._predictor, self._asked.spec.serving.limits.max_rows)
        try:
            passed(self._contract, lambda body: answering.answered(body)[1])
        except GoldenFailures as error:
            return "; ".join(f"{each['name']}: {each['reason']}" for each in error.failures)
        return ""


def desired(asked: Declared, version: Version, store: StoreAddress) -> Desired:
    """What a stack would declare of a version."""
    serving = asked.spec.serving
    declaration = Declaration(
        digest=hashlib.sha256(f"{asked.name}/{version.number}/{version.dataset_digest}".encode()).hexdigest(),
        label=version.label,
        code_uri="",
        contract=asked.contract,
        model_uri=f"models:/{asked.name}/{version.number}",
        data_digest=version.dataset_digest,
        tracking_uri="",
        store=store,
        prediction_log=serving.prediction_log,
        limits=serving.limits,
    )
    return Desired(
        version=declaration,
        replicas=serving.replicas,
        cpus_per_replica=serving.cpus_per_replica,
        max_ongoing_requests=serving.max_ongoing_requests,
        startup_timeout_seconds=serving.startup_timeout_seconds,
        strategy=asked.strategy,
    )


def before(asked: Declared, serving: Version, store: StoreAddress) -> Previous | Combining | None:
    """What a retraining keeps of the version that serves, as the monitor's policy has it; None where it begins anew."""
    policy = asked.monitor.retraining
    if policy is None or not (policy.continues or policy.ensemble):
        return None
    uri, data = f"models:/{asked.name}/{serving.number}", datasets.Snapshot(serving.dataset_key, store)
    model = serving.folder / pyfunc.MODEL_FOLDER
    found = Previous(uri, model, pyfunc.load(serving.folder)[0], data, serving.dataset_digest)
    if policy.continues:
        return found
    declared = asked.spec.training.ensemble or Ensemble()
    return Combining(declared.model_copy(update={"model": uri}), found)


def together(version: Version) -> str:
    """What a version answers with beside its own model, as the beginning of a clause; empty where it was to answer alone."""
    told = json.loads((version.folder / pyfunc.RESULT_FILE).read_text()).get("combined")
    return f"{Combined.model_validate(told).text}; " if told is not None else ""


def verdict(asked: Declared, candidate: Version, serving: Version, store: StoreAddress, label: str) -> Verdict:
    """The gate's, on the candidate's test split."""
    problem = asked.problem
    gate = resolved_gate(asked.spec.gate, problem)
    table = datasets.Snapshot(candidate.dataset_key, store).table("test")
    evaluation = Evaluation(problem, table, label)
    columns = columns_of(table.drop_columns([label]))

    by_group: dict[str, Any] = {}

    def figures(name: str, predictor: Any) -> Measurements | None:
        if predictor is None:
            return None
        predictions = predictor.predict(columns)
        found = measured(evaluation, gate, gate.metric, predictions)
        if gate.fairness and predictor is ours:
            told = fairness.measured(table, evaluation.truth.labels, evaluation.checked(predictions), gate.fairness)
            by_group["fairness"] = told
        slices = {
            column: {value: float(entry["value"]) for value, entry in values.items()}
            for column, values in found["slices"].items()
        }
        return Measurements(name, float(found["overall"][gate.metric or ""]), slices)

    ours, baseline = pyfunc.load(candidate.folder)
    theirs, _ = pyfunc.load(serving.folder)
    found = figures(f"version {candidate.number}", ours)
    assert found is not None  # noqa: S101 - a training hands a model back
    better = problem.higher_is_better(gate.metric or "")
    told = judge(gate, better, found, figures("the baseline", baseline), figures(f"version {serving.number}", theirs))
    return with_fairness(told, gate, by_group)
