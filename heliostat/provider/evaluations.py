"""What a candidate was measured to be: by a job on the cluster, once for all that decides it, and kept in the store."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from heliostat.provider import ray_work
from heliostat.provider.records import open_registry
from heliostat.provider.resource import Context
from heliostat.spec.jobs import EvaluateSpecification
from heliostat.spec.judging import judged_by
from heliostat.spec.metrics import former
from heliostat.spec.model_resources import ModelVersionInputs
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_registry import RegisteredVersion
from heliostat.systems.objects import ObjectMissingError, open_store


async def evaluation_of(
    context: Context, inputs: ModelVersionInputs, serving: RegisteredVersion | None, again: bool = False
) -> tuple[dict[str, Any], str, bool]:
    """The measurement of the candidate, its URI, and whether it was there already; `again` measures in any case."""
    store = open_store(inputs.store)
    identity = _identity(inputs, serving)
    key = _report_key(inputs, identity)
    alone = _report_key(inputs, _identity(inputs, None))

    def load() -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(store.get(key))
        except ObjectMissingError:
            return None
        return found

    report = None if again else await asyncio.to_thread(load)
    if report is not None:
        return report, store.uri(key), True
    if serving is None and not again and (known := await asyncio.to_thread(_known_elsewhere, inputs, alone)):
        return *known, True
    await ray_work.run(_work(inputs, serving, key, identity, again), context)
    report = await asyncio.to_thread(load)
    if report is None:
        raise PermanentError(f"the evaluation of {inputs.model_uri} ended well and left no report at {store.uri(key)}")
    await asyncio.to_thread(_log_report, inputs, report)
    if serving is not None:
        await asyncio.to_thread(store.put, _pointer_key(alone), key.encode())
    return report, store.uri(key), False


def _identity(inputs: ModelVersionInputs, serving: RegisteredVersion | None) -> str:
    return ray_work.digest_of(
        {
            "candidate": inputs.model_uri,
            "incumbent": serving.source if serving else None,
            "dataset": inputs.dataset.digest,
            "metric": former(metric) if (metric := judged_by(inputs.gate, inputs.problem)) else None,
            **({"problem": problem} if (problem := deciding(inputs)) else {}),
            "slices": [{"column": item.column, "min_rows": item.min_rows} for item in inputs.gate.slices],
            **({"fairness": [each.model_dump(mode="json") for each in inputs.gate.fairness]} if inputs.gate.fairness else {}),
        }
    )


def _report_key(inputs: ModelVersionInputs, identity: str) -> str:
    return f"evaluations/{inputs.name}/{identity}.json"


def _pointer_key(alone: str) -> str:
    """Where it is noted under which key a candidate was measured beside another model: the same figures of its own."""
    return f"{alone.removesuffix('.json')}.beside"


def _known_elsewhere(inputs: ModelVersionInputs, alone: str) -> tuple[dict[str, Any], str] | None:
    """The measurement of the candidate beside what serves in another environment; None where there is none."""
    store = open_store(inputs.store)
    try:
        key = store.get(_pointer_key(alone)).decode()
        found: dict[str, Any] = json.loads(store.get(key))
    except ObjectMissingError:
        return None
    return found, store.uri(key)


def _work(
    inputs: ModelVersionInputs, serving: RegisteredVersion | None, key: str, identity: str, again: bool
) -> ray_work.Work:
    specification = EvaluateSpecification(
        name=inputs.name,
        candidate=inputs.model_uri or "",
        run_id=inputs.run_id,
        incumbent=serving.uri if serving else None,
        dataset_key=ray_work.key_of(inputs.dataset.uri, inputs.store),
        dataset_digest=inputs.dataset.digest,
        gate=inputs.gate,
        problem=inputs.problem,
        store=inputs.store,
        tracking_uri=inputs.tracking_uri,
        result_key=key,
    )
    return ray_work.Work(
        what=f"the evaluation of {inputs.model_uri}",
        module="heliostat.jobs.evaluate",
        base=f"evaluate-{inputs.name}-{identity[:12]}",
        specification=lambda submission_id: specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
        timeout_seconds=1800.0,
        is_done_by_its_end=again,  # the report that is there may be the one before
    )


def deciding(inputs: ModelVersionInputs) -> dict[str, Any] | None:
    """What the task and the workload's own metrics decide of a measurement."""
    found = inputs.problem
    return None if found is None or found.says_nothing else found.model_dump(mode="json")


def _log_report(inputs: ModelVersionInputs, report: dict[str, Any]) -> None:
    points = [(f"test_{name}", value, 0) for name, value in report["candidate"]["overall"].items()]
    if report["baseline"]:
        points += [(f"baseline_test_{name}", value, 0) for name, value in report["baseline"]["overall"].items()]
    with open_registry(inputs) as registry:
        registry.log(inputs.run_id or "", metrics=points)
