"""The plugin `heliostat` without Ray and MLflow: data, trainings and versions are files of the folder that `STORY` names.

All else is the plugin's own. A training is named by what decides about it, and one that is known is taken. Where that folder
has one `jobs`, a training is a job there first, which runs until a test ends it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat.provider import application, plugin, ray_work, registry, train_job
from heliostat.provider.dataset import DatasetHandler
from heliostat.provider.model_version import ModelVersionHandler
from heliostat.provider.resource import Context, Created, Failure
from heliostat.provider.train_job import TrainJobHandler
from heliostat.spec.model_resources import ModelVersionInputs, ModelVersionOutputs
from heliostat.spec.training_resources import DatasetAddress, DatasetInputs, DatasetOutputs, TrainJobInputs, TrainJobOutputs

WORLD = Path(os.environ["STORY"])
JOBS = WORLD / "jobs"


def digest_of(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def known(name: str) -> list[dict[str, Any]]:
    file = WORLD / f"{name}.json"
    return json.loads(file.read_text()) if file.is_file() else []


def remember(name: str, **entry: Any) -> int:
    """The number, from 1, of what is remembered once under its `key`."""
    entries = known(name)
    keys = [each["key"] for each in entries]
    if entry["key"] not in keys:
        entries.append(entry)
        (WORLD / f"{name}.json").write_text(json.dumps(entries))
        return len(entries)
    return keys.index(entry["key"]) + 1


async def has_ended_well(inputs: TrainJobInputs) -> bool:
    from kept_jobs import KeptJobs

    return any(job.status == "SUCCEEDED" for job in await KeptJobs(JOBS).attempts(train_job._base(inputs)))


class Inspected:
    """What is imported in a process of its own elsewhere is right here."""

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        return []


class Dataset(Inspected, DatasetHandler):
    async def preview(self, context: Context, old: DatasetOutputs | None, new: DatasetInputs) -> None:
        return

    async def create(self, context: Context, inputs: DatasetInputs) -> Created[DatasetOutputs]:
        digest = digest_of(inputs.code.digest, inputs.parameters)
        address = DatasetAddress(uri=f"{inputs.store.uri}/datasets/{digest}", digest=digest)
        made = DatasetOutputs(**inputs.model_dump(), address=address, rows={"train": 1}, statistics_uri="", schema_uri="")
        return Created(digest, made)

    async def update(self, context: Context, identifier: str, old: DatasetOutputs, new: DatasetInputs) -> DatasetOutputs:
        return (await self.create(context, new)).outputs


class TrainJob(Inspected, TrainJobHandler):
    async def preview(self, context: Context, old: TrainJobOutputs | None, new: TrainJobInputs) -> None:
        context.info(f"will train {new.name}")

    async def create(self, context: Context, inputs: TrainJobInputs) -> Created[TrainJobOutputs]:
        digest = digest_of(inputs.code.digest, inputs.dataset.digest, inputs.parameters)
        if JOBS.is_dir() and not await has_ended_well(inputs):
            await ray_work.run(train_job._work(inputs), context)
        number = remember("trainings", key=digest, experiment=inputs.experiment)
        made = {"digest": digest, "run_id": f"run-{number}", "model_uri": f"models:/m-{number}", "metrics": {}}
        return Created(digest, TrainJobOutputs(**inputs.model_dump(), **made))

    async def update(self, context: Context, identifier: str, old: TrainJobOutputs, new: TrainJobInputs) -> TrainJobOutputs:
        return (await self.create(context, new)).outputs


class ModelVersion(Inspected, ModelVersionHandler):
    async def preview(self, context: Context, old: ModelVersionOutputs | None, new: ModelVersionInputs) -> None:
        return

    async def create(self, context: Context, inputs: ModelVersionInputs) -> Created[ModelVersionOutputs]:
        if inputs.pin:
            number, verdict = int(inputs.pin.rpartition("/")[2]), "pinned"
        else:
            number, verdict = remember("versions", key=inputs.run_id), "accepted"
        made = {
            "version": number,
            "served_model_uri": f"models:/{inputs.name}/{number}",
            "served_run_id": f"run-{number}",
            "verdict": verdict,
            "report_uri": "",
        }
        return Created(inputs.name, ModelVersionOutputs(**inputs.model_dump(), **made))

    async def update(
        self, context: Context, identifier: str, old: ModelVersionOutputs, new: ModelVersionInputs
    ) -> ModelVersionOutputs:
        return (await self.create(context, new)).outputs


class Application(Inspected, application.ApplicationHandler):
    pass


async def _loadable(_: Any) -> None:
    return


if __name__ == "__main__":
    application._require_loadable = _loadable
    sys.path.append(str(Path(__file__).parent.parent))
    from kept_jobs import KeptJobs

    ray_work.open_runner = lambda address, own=None: KeptJobs(JOBS)
    sys.modules["story_plugin"] = sys.modules["__main__"]
    for handler in (Dataset, TrainJob, ModelVersion, Application):
        registry.HANDLERS[handler.token] = f"story_plugin:{handler.__name__}"
    plugin.main(sys.argv[1:])
