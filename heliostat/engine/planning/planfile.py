"""A plan as a file, in the official CLI's format: `preview --save-plan` writes one, `up --plan` reads it.

Secrets in it are encrypted with the stack's passphrase, as in the state. Fields that only the CLI fills (property
dependencies, aliases, timeouts) are left out, and passed over where they are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliostat.engine.events import Op
from heliostat.engine.planning.plans import Plan, PlannedGoal, PropertyDiff, ResourcePlan
from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.checkpoint import manifest
from heliostat.engine.state.secrets import Crypter
from heliostat.engine.state.stored import decode_properties, encode_value


def write(file: Path, plan: Plan, crypter: Crypter | None) -> None:
    """Write a plan. Raises StackError where it has a secret and there is no crypter, or the file cannot be written."""

    def hide(text: str, place: str) -> dict[str, str]:
        if crypter is None:
            raise StackError(f"the secret at {place} cannot be kept in a plan: the stack has no encryption salt")
        return {"ciphertext": crypter.encrypt(text, place)}

    def encoded(values: Mapping[str, Any], place: str) -> dict[str, Any]:
        return {name: encode_value(value, hide, f"{place}.{name}") for name, value in sorted(values.items())}

    def diff(one: PropertyDiff, place: str) -> dict[str, Any]:
        parts = {"adds": encoded(one.adds, place), "deletes": list(one.deletes), "updates": encoded(one.updates, place)}
        return {name: part for name, part in parts.items() if part}

    plans = {}
    for urn, resource in plan.resources.items():
        goal = None if resource.goal is None else _stored_goal(resource.goal)
        if goal is not None and resource.goal is not None:
            goal |= {"inputDiff": diff(resource.goal.inputs, f"{urn} inputs")}
            goal |= {"outputDiff": diff(resource.goal.outputs, f"{urn} outputs")}
        plans[urn] = {**({"goal": goal} if goal else {}), "steps": [str(op) for op in resource.steps], "state": None}
    content = {"manifest": manifest(), "config": plan.config, "resourcePlans": plans}
    try:
        file.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    except OSError as error:
        raise StackError(f"cannot write the plan {file}: {error.strerror}") from error


def read(file: Path, crypter: Crypter | None) -> Plan:
    """Read a plan. Raises StackError where it is none, or has a secret that cannot be decrypted."""

    def reveal(ciphertext: str, place: str) -> str:
        if crypter is None:
            raise StackError(f"the secret at {place} of the plan {file} cannot be decrypted: the stack has no encryption salt")
        return crypter.decrypt(ciphertext, place)

    def diff(stored: Mapping[str, Any] | None, place: str) -> PropertyDiff:
        said = stored or {}
        adds, updates = (decode_properties(said.get(name) or {}, reveal, place) for name in ("adds", "updates"))
        return PropertyDiff(adds, tuple(said.get("deletes") or ()), updates)

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        plans = content["resourcePlans"] or {}
        resources = {}
        for urn, said in plans.items():
            goal = said.get("goal")
            planned = None
            if goal is not None:
                planned = _read_goal(
                    goal, diff(goal.get("inputDiff"), f"{urn} inputs"), diff(goal.get("outputDiff"), f"{urn} outputs")
                )
            resources[urn] = ResourcePlan(planned, [Op(step) for step in said.get("steps") or ()])
        return Plan(resources, dict(content.get("config") or {}))
    except OSError as error:
        raise StackError(f"cannot read the plan {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StackError(
            f"{file} is no plan ({type(error).__name__}: {error}): make one with `heliostat preview --save-plan {file}`"
        ) from error


def _stored_goal(goal: PlannedGoal) -> dict[str, Any]:
    always = {"type": goal.type, "name": goal.name, "custom": goal.custom, "protect": goal.protect, "customTimeouts": {}}
    others = {
        "parent": goal.parent,
        "provider": goal.provider,
        "dependencies": list(goal.dependencies),
        "ignoreChanges": list(goal.ignore_changes),
        "additionalSecretOutputs": list(goal.additional_secret_outputs),
        "id": goal.import_id,
    }
    decided = {} if goal.delete_before_replace is None else {"deleteBeforeReplace": goal.delete_before_replace}
    return {**always, **{name: value for name, value in others.items() if value}, **decided}


def _read_goal(said: Mapping[str, Any], inputs: PropertyDiff, outputs: PropertyDiff) -> PlannedGoal:
    return PlannedGoal(
        type=said["type"],
        name=said["name"],
        custom=bool(said["custom"]),
        inputs=inputs,
        outputs=outputs,
        parent=said.get("parent") or None,
        provider=said.get("provider") or "",
        protect=bool(said.get("protect")),
        dependencies=tuple(sorted(said.get("dependencies") or ())),
        delete_before_replace=said.get("deleteBeforeReplace"),
        ignore_changes=tuple(sorted(said.get("ignoreChanges") or ())),
        additional_secret_outputs=tuple(sorted(said.get("additionalSecretOutputs") or ())),
        import_id=said.get("id") or "",
    )
