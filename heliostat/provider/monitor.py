"""Monitor: an application's prediction log is looked at by a job on the cluster, when it is declared and by schedule."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from heliostat.pricing.trainings import usd_an_hour
from heliostat.provider import inspecting, ray_work
from heliostat.provider.properties import text_of
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.spec.findings import State
from heliostat.spec.ingestion import IncrementalQuery
from heliostat.spec.inspection import Asked, InspectionTask, Role
from heliostat.spec.monitor_resources import MonitorInputs, MonitorOutputs
from heliostat.spec.monitoring import MonitorSpecification, runs, schedule_name, states, top
from heliostat.spec.monitors import Monitor, mistakes_of
from heliostat.spec.monitors_of_others import mistakes_of_others
from heliostat.spec.predictions import Scheduled, schedule_key
from heliostat.spec.problem import Problem
from heliostat.spec.training_resources import Code
from heliostat.systems import code_packages, library_packages
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, open_store
from heliostat.systems.revisions import Revisions

_NEXT = "models:/candidate/next"
"""Stands in a preview for a version that is not registered yet."""
_MODULE = "heliostat.jobs.monitor"


class MonitorHandler(Handler[MonitorInputs, MonitorOutputs]):
    """A look that was made with the same inputs is not made again; its schedule goes on."""

    token = "heliostat:index:Monitor"  # noqa: S105 - a type, no secret
    inputs = MonitorInputs
    outputs = MonitorOutputs
    gone = "its schedule or its state is not in the object store any more; the next `up` looks again"
    replace_on = frozenset({"name"})
    preview_placeholders: ClassVar[Mapping[str, Any]] = {
        "model_uri": _NEXT, "dataset": {"uri": "", "digest": "0" * 64}, "environment": None, "group": None,
    }  # fmt: skip

    def insignificant_inputs(self, old: MonitorInputs, new: MonitorInputs) -> frozenset[str]:
        """Where the same code lies means nothing."""
        return frozenset({"code"} if old.code.digest == new.code.digest else ())

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """What the monitor asks for and the contract or the task does not have."""
        contract = str(given["contract"])
        task = InspectionTask(asked=(Asked(entry_point=contract, role=Role.CONTRACT),))
        found = await inspecting.inspect(Code.model_validate(given["code"]), task)
        told = inspecting.entry_point_mistakes(found, {contract: "contract"})
        try:
            monitor = Monitor.model_validate(given["monitor"])
            problem = Problem.model_validate(given.get("problem") or {})
        except ValidationError:
            return told  # whoever checks the inputs themselves says so
        of_others = given.get("dataset") is None
        wrong = [*mistakes_of(monitor, problem, found.inputs, of_others), *(mistakes_of_others(monitor) if of_others else ())]
        told += [Failure(text_of(("monitor", *each.path)), each.text) for each in wrong]
        told += [
            Failure(f"monitor.fairness[{place}].column", f"{watch.column!r} is never logged, so no group is known by it")
            for place, watch in enumerate(monitor.fairness)
            if watch.column in found.unlogged
        ]
        if found.answer is not None and monitor.field not in found.answer:
            there = ", ".join(found.answer)
            told.append(Failure("monitor.field", f"the answer has no field {monitor.field!r}; it has {there}"))
        return told

    async def preview(self, context: Context, old: MonitorOutputs | None, new: MonitorInputs) -> None:
        """Say what is watched from when on, and by whom nobody is told."""
        if new.scaling is None or new.scaling.group is None or new.group is not None:  # a platform's groups may come with it
            _usd_an_hour(new)
        monitor = new.monitor
        if old is None or old.monitor != monitor:
            told = ", ".join(sink.name for sink in monitor.sinks)
            context.info(
                f"{new.name} will be watched at `{monitor.schedule}` (UTC) by the controller; "
                + (f"alarms go to {told}" if told else "alarms are shown, and told to nobody: no sink is declared")
            )
        if new.new_data is not None and (old is None or old.new_data != new.new_data):
            by_size = "" if isinstance(new.new_data.source, IncrementalQuery) or new.new_data.source.format == "parquet" else (
                f", told from the size of {new.new_data.source.format} files"
            )  # fmt: skip
            context.info(f"{new.name}: new rows of {new.new_data.place} count for its retraining{by_size}")
        if monitor.concept_drift and importlib.util.find_spec("river") is None:
            context.warn("conceptDrift needs the extra heliostat[monitoring] on the cluster, and it is not installed here")

    async def create(self, context: Context, inputs: MonitorInputs) -> Created[MonitorOutputs]:
        """Look once, and put it on schedule."""
        return Created(inputs.name, await _watched(context, inputs))

    async def read(self, context: Context, identifier: str, outputs: MonitorOutputs) -> MonitorOutputs | None:
        """Gone where the schedule is, or all states are."""
        store = open_store(outputs.store)
        if not await asyncio.to_thread(store.exists, schedule_key(schedule_name(outputs.name))):
            return None
        return outputs if await asyncio.to_thread(_show, context, outputs) else None

    async def update(self, context: Context, identifier: str, old: MonitorOutputs, new: MonitorInputs) -> MonitorOutputs:
        """Look by what is declared now; alarms and what was found stay."""
        return await _watched(context, new)

    async def delete(self, context: Context, identifier: str, outputs: MonitorOutputs) -> None:
        """End the schedule; what was found stays."""
        store = open_store(outputs.store)
        await asyncio.to_thread(store.delete, schedule_key(schedule_name(outputs.name)))
        context.info(f"what was found of {outputs.name} is kept, at {store.uri(top(outputs.name))}")


async def _watched(context: Context, inputs: MonitorInputs) -> MonitorOutputs:
    key = _result_key(inputs)
    if not await asyncio.to_thread(_is_looked_at, inputs, key):
        await ray_work.run(_work(inputs, key), context)
    told = await asyncio.to_thread(_told, inputs, key)
    if told is None:
        raise RuntimeError(f"the job that looks at {inputs.name} succeeded and left no result")
    await asyncio.to_thread(_schedule, inputs)
    await asyncio.to_thread(_show, context, inputs)
    return MonitorOutputs(
        **{name: getattr(inputs, name) for name in MonitorInputs.model_fields},
        reference=told["reference"],
        reports_uri=open_store(inputs.store).uri(top(inputs.name)),
    )


def _show(context: Context, inputs: MonitorInputs) -> bool:
    """Tell the newest finding, the worst where there are several; False where nothing was looked at yet."""
    from heliostat.monitoring.state import state_of

    content = Revisions(open_store(inputs.store), states(inputs.name)).newest()[1]
    if content is None:
        return False
    state = state_of(content)
    if (finding := state.worst) is not None:
        tell = context.warn if finding.state is State.BREACH else context.info
        tell(f"{inputs.name}: {finding.text}" + (f" (window {finding.window})" if finding.window else ""))
    if count := len(state.open_alarms):
        are = "1 alarm is" if count == 1 else f"{count} alarms are"
        context.warn(f"{inputs.name}: {are} open: `heliostat monitor alarms {inputs.name}`")
    return True


def _is_looked_at(inputs: MonitorInputs, key: str) -> bool:
    """Whether the newest look is one with these inputs. One before another declaration's, or another version's, is over."""
    from heliostat.monitoring.state import state_of

    told = _told(inputs, key)
    if told is None:
        return False
    state = state_of(Revisions(open_store(inputs.store), states(inputs.name)).newest()[1])
    return "declared" not in told or (told["declared"], told["reference"]) == (state.declared, state.reference)


def _usd_an_hour(inputs: MonitorInputs) -> float | None:
    """What an hour of a retraining costs; None where its policy has no budget.

    Raises:
        PermanentError: it has one, and the price is not known.
    """
    policy = inputs.monitor.retraining
    if policy is None or policy.budget_usd is None:
        return None
    price, why = None, "its sites train it, and what that costs is theirs"
    if inputs.scaling is not None:
        price, why = usd_an_hour(inputs.scaling, inputs.group)
    if price is None:
        raise PermanentError(
            f"monitor.retraining.budgetUsd of {inputs.name}: what a training costs is not known: {why}; leave it out, or name "
            "a group of a platform of the kinds `aws` or `gcp` in training.scaling.group"
        )
    return price


def _told(inputs: MonitorInputs, key: str) -> dict[str, Any] | None:
    """What the look with these inputs said; None where there was none, or what it left is gone."""
    store = open_store(inputs.store)
    if next(iter(store.list(states(inputs.name))), None) is None:
        return None
    try:
        found: dict[str, Any] = json.loads(store.get(key))
    except (ObjectMissingError, ValueError):
        return None
    return found


def _identity(inputs: MonitorInputs) -> str:
    """Of what decides how it looks."""
    parts = inputs.model_dump(mode="json", include={"name", "contract", "model_uri", "problem", "monitor", "scaling", "group"})
    own: dict[str, Any] = {"environment": inputs.environment.digest} if inputs.environment is not None else {}
    if inputs.privacy is not None:
        own["keys"] = [key.id for key in inputs.privacy.keys[:1]]  # a newer key makes other hashes
    own |= {"data_value": inputs.data_value} if inputs.data_value is not None else {}
    own |= {"new_data": inputs.new_data.model_dump(mode="json")} if inputs.new_data is not None else {}
    data = inputs.dataset.digest if inputs.dataset is not None else None
    found = {**parts, **own, "code": inputs.code.digest, "data": data, "library": library_packages.here()}
    return ray_work.digest_of(found)


def _result_key(inputs: MonitorInputs) -> str:
    return f"{top(inputs.name)}made/{_identity(inputs)}.json"


def specification_of(inputs: MonitorInputs, result_key: str) -> MonitorSpecification:
    """What a look is told."""
    return MonitorSpecification(
        name=inputs.name,
        contract=inputs.contract,
        code_digest=inputs.code.digest,
        model_uri=inputs.model_uri,
        dataset_key=ray_work.key_of(inputs.dataset.uri, inputs.store) if inputs.dataset is not None else "",
        dataset_digest=inputs.dataset.digest if inputs.dataset is not None else None,
        problem=inputs.problem or Problem(),
        monitor=inputs.monitor,
        transformed=inputs.transformed,
        privacy=inputs.privacy,
        store=inputs.store,
        tracking_uri=inputs.tracking_uri,
        data_value=inputs.data_value,
        new_data=inputs.new_data,
        usd_an_hour=_usd_an_hour(inputs),
        result_key=result_key,
    )


def _work(inputs: MonitorInputs, key: str) -> ray_work.Work:
    specification = specification_of(inputs, key)
    return ray_work.Work(
        what=f"the look at {inputs.name}",
        module=_MODULE,
        base=_base(inputs),
        specification=lambda submission_id: specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
        timeout_seconds=inputs.monitor.timeout_seconds,
        environment_uri=inputs.environment.uri if inputs.environment is not None else None,
    )


def _base(inputs: MonitorInputs) -> str:
    return f"monitor-{inputs.name}-{_identity(inputs)[:12]}"


def _schedule(inputs: MonitorInputs) -> None:
    """Tell the controller when it is due, by a file in the object store."""
    store = open_store(inputs.store)
    name = schedule_name(inputs.name)
    specification_key = f"jobs/{_base(inputs)}.scheduled.json"
    store.put(specification_key, specification_of(inputs, "").model_dump_json().encode())
    scheduled = Scheduled(
        name=inputs.name,
        module=_MODULE,
        runs=runs(inputs.name),
        schedule=inputs.monitor.schedule,
        since=time.time(),
        base=f"monitor-{inputs.name}-due",
        specification=specification_key,
        code_uri=code_packages.upload(inputs.code, store),
        environment_uri=inputs.environment.uri if inputs.environment is not None else None,
        timeout_seconds=inputs.monitor.timeout_seconds,
    )
    store.put(schedule_key(name), scheduled.model_dump_json().encode())
