"""Versions of an application, and what its ledger and its controller say once it went back from one to another."""

from __future__ import annotations

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.rollouts import BlockedVersion, Desired, Origin, Phase, Rollout, Status, Version
from heliostat.spec.strategies import BlueGreen
from heliostat.spec.workload import Limits, PredictionLog


def version(model: int, code: int = 1) -> Version:
    digest = f"{code:032x}{model:032x}"
    return Version(
        digest=digest,
        label=f"{model}-{code:08x}",
        code_uri=f"file:///objects/code/{code:064x}.zip",
        contract="workloads.bees.contract:CONTRACT",
        model_uri=f"models:/bees/{model}",
        data_digest=f"{model:064x}",
        tracking_uri="http://mlflow",
        store=StoreAddress(uri="file:///objects"),
        prediction_log=PredictionLog(),
        limits=Limits(),
    )


def desired(of: Version) -> Desired:
    return Desired(version=of, startup_timeout_seconds=60.0, strategy=BlueGreen())


def entry(number: int, target: Version, commit: str | None, phase: Phase = Phase.SUCCEEDED, dirty: bool = False) -> Entry:
    return Entry(
        number=number,
        id=str(number),
        application="bees",
        at=float(number),
        kind=EntryKind.END,
        rollout=number,
        phase=phase,
        strategy=BlueGreen(),
        previous=None,
        target=desired(target),
        weights={},
        origin=Origin(by="ada", commit=commit, dirty=dirty),
    )


def rollout(number: int, phase: Phase) -> Rollout:
    return Rollout(
        number=number,
        phase=phase,
        started_at=1.0,
        from_version=None,
        to_version="x",
        strategy=BlueGreen(),
        candidate_weight=0.0,
        events=(),
    )


def blocked(of: Version, number: int) -> BlockedVersion:
    return BlockedVersion(
        fingerprint=of.digest, identity=of.digest, label=of.label, rollout=number, at=1.0, reason="too many | errors\nmore"
    )


def status(serving: Version, *refused: BlockedVersion, phase: Phase = Phase.FAILED, pending: bool = False) -> Status:
    return Status(
        name="bees",
        desired=desired(serving),
        pending=pending,
        serving=serving,
        healthy_replicas=1,
        rollout=rollout(9, phase),
        refused=refused,
        url="http://public/bees",
    )
