"""From an application's inputs to what the controller is asked for, and from what it found back to outputs. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from heliostat.spec.base import Model, shared
from heliostat.spec.groups import placement
from heliostat.spec.rollouts import Desired, Phase, Runtime, Status, Version
from heliostat.spec.serving_resources import ApplicationInputs, ApplicationOutputs
from heliostat.spec.workload import AnswerSettings, ReplicaScale
from heliostat.systems.controller_api import ENDS

_UNSEEN = "0" * 64
_ALWAYS = frozenset({"prediction_log", "limits"})
"""Settings that are part of a version's digest whatever they are. Those that came later are part of it where they are not at
their default: what serves since before there were any stays what it is."""


def desired_of(inputs: ApplicationInputs, code_uri: str, runtime: Runtime) -> Desired:
    """What the controller is asked for."""
    digest = digest_of(inputs, runtime)
    number = re.search(r"/(\d+)$", inputs.model_uri)
    version = Version(
        digest=digest,
        label=f"{number.group(1)}-{digest[:8]}" if number else digest[:8],
        code_uri=code_uri,
        contract=inputs.contract,
        proto=inputs.proto,
        model_uri=inputs.model_uri,
        data_digest=inputs.data_digest,
        tracking_uri=inputs.tracking_uri,
        store=inputs.store,
        environment=inputs.environment,
        runtime=runtime,
        **shared(inputs, AnswerSettings),
    )
    return Desired(
        version=version,
        startup_timeout_seconds=inputs.startup_timeout_seconds,
        strategy=inputs.strategy,
        placement=placement(inputs.group) if inputs.group is not None else None,
        cluster=inputs.cluster,
        **shared(inputs, ReplicaScale),
    )


def digest_of(inputs: ApplicationInputs, runtime: Runtime) -> str:
    """Of all that decides what the application answers, and where it writes what it answered.

    The data's digest is not among it: the model's version stands for it, and older states do not have it.
    """
    settings, unset = _settings(inputs), _settings(AnswerSettings())
    parts = {
        "code": inputs.code.digest,
        "library": runtime.library_digest,
        "contract": inputs.contract,
        "model": inputs.model_uri,
        "tracking": inputs.tracking_uri,
        "store": inputs.store.model_dump(mode="json"),
        **({"proto": inputs.proto} if inputs.proto else {}),
        **({"environment": inputs.environment.digest} if inputs.environment is not None else {}),
        **{name: value for name, value in settings.items() if name in _ALWAYS or value != unset[name]},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _settings(source: Model) -> dict[str, Any]:
    """What `AnswerSettings` says of something that has them, as JSON."""
    return {name: _as_json(value) for name, value in shared(source, AnswerSettings).items()}


def _as_json(value: Any) -> Any:
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    return [_as_json(each) for each in value] if isinstance(value, tuple) else value


def as_taken(desired: Desired, status: Status) -> Desired:
    """`desired` as the controller took it: what names no cluster, or one that is left, comes to the one that it works on."""
    taken = desired.model_copy(update={"cluster": status.desired.cluster}) if status.desired is not None else desired
    return taken if taken == status.desired else desired


def as_found(outputs: ApplicationOutputs, status: Status) -> ApplicationOutputs:
    """`outputs` as the world has them: what differs from what is declared shows as drift, which the next update follows up."""
    found: dict[str, object] = {}
    desired, serving = status.desired, status.serving
    if status.cluster:
        found["cluster"] = status.cluster
    if desired is not None and not _has_failed(status, desired):
        found |= shared(desired, ReplicaScale)
    if serving is not None and serving.digest != outputs.digest:
        found |= {
            "digest": serving.digest,
            "model_uri": serving.model_uri,
            "data_digest": serving.data_digest,
            "environment": serving.environment,
            "contract": serving.contract,
            "proto": serving.proto,
            "tracking_uri": serving.tracking_uri,
            "store": serving.store,
            **shared(serving, AnswerSettings),
        }
    return outputs.model_copy(
        update=found | {"code": outputs.code.model_copy(update={"digest": _code_found(outputs, status)})}
    )


def _code_found(outputs: ApplicationOutputs, status: Status) -> str:
    """The code's digest; no program's, while another version than what serves is on its way.

    A program that goes back to what serves would not differ from it otherwise, and never be declared, and the other version
    would ship; one that stays is declared again, which follows the rollout.
    """
    serving = status.serving
    if _moves(status):
        return _UNSEEN
    known = outputs.code.digest != _UNSEEN and (serving is None or serving.digest == outputs.digest)
    return outputs.code.digest if known or serving is None else _code_digest(serving.code_uri)


def _moves(status: Status) -> bool:
    """Whether another version than what serves is declared, and still on its way."""
    rollout, desired, serving = status.rollout, status.desired, status.serving
    if desired is None or serving is None:
        return False
    if desired.version.digest == serving.digest and desired.cluster == status.cluster:
        return False
    return status.pending or (rollout is not None and rollout.phase not in ENDS)


def _has_failed(status: Status, desired: Desired) -> bool:
    """Whether what is declared was not put into place, so that it says nothing of what is."""
    rollout = status.rollout
    return rollout is not None and rollout.phase is Phase.FAILED and rollout.to_version == desired.version.label


def _code_digest(code_uri: str) -> str:
    """A code package's digest, by its name in the store."""
    found = re.search(r"/([0-9a-f]{64})\.zip$", code_uri)
    return found.group(1) if found else _UNSEEN
