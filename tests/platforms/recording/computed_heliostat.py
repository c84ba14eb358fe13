"""What this project's own plugin adds."""

from typing import Any

WORKLOAD: dict[str, dict[str, Any]] = {
    "Dataset": {
        "address": {"uri": "gs://models/datasets/flights", "digest": "a" * 64},
        "rows": {"train": 3, "validation": 2, "test": 1},
        "statisticsUri": "gs://models/statistics.json",
        "schemaUri": "gs://models/schema.json",
    },
    "TrainJob": {"digest": "b" * 64, "runId": "r1", "modelUri": "models:/m-1", "metrics": {"roc_auc": 0.8}},
    "ModelVersion": {
        "version": 1,
        "servedModelUri": "models:/flights/1",
        "servedRunId": "r1",
        "servedDataDigest": "a" * 64,
        "verdict": "admitted",
        "reportUri": "gs://models/report.json",
    },
    "Application": {"digest": "c" * 64, "url": "http://traffic/flights", "openapiUrl": "http://traffic/openapi.json"},
}


def computed(kind: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    if kind == "heliostat:index:Token":
        secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": f"sesame-{name}"}
        return {"id": f"{name}-id", "value": secret}
    if kind == "heliostat:index:ExistingCluster":
        return {"id": "uid-1", "uid": "uid-1"}
    return WORKLOAD.get(kind.rpartition(":")[2], {})
