"""No role may do everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .model import UNKNOWN, Resource, Settings, document, each, get, listed

_AWS_DOCUMENTS = ("iam/policy:", "iam/rolePolicy:", "iam/userPolicy:", "iam/groupPolicy:")
_AWS_TOO_MUCH = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")
_GCP_TOO_MUCH = ("roles/owner", "roles/editor")
_READING = ("Describe", "List", "Get", "BatchGet", "Check", "Simulate", "View", "Query", "Scan", "Search", "Lookup")


def no_iam_wildcard(resource: Resource, _: Settings) -> Iterator[str]:
    """No role is allowed every action, or to change every resource."""
    kind, props = resource.type, resource.props
    if any(kind.startswith(f"aws:{one}") for one in _AWS_DOCUMENTS):
        yield from _aws_document(props.get("policy"))
    if kind == "aws:iam/role:Role":
        for inline in each(props.get("inlinePolicies")):
            yield from _aws_document(get(inline, "policy"))
        yield from _aws_managed(props.get("managedPolicyArns"))
    if "PolicyAttachment:" in kind and kind.startswith("aws:iam/"):
        yield from _aws_managed(props.get("policyArn"))
    if kind.startswith("gcp:") and props.get("role") in _GCP_TOO_MUCH:
        yield f"role is {props['role']}: give the roles that the work needs, such as roles/storage.objectUser"
    if kind.endswith("IAMCustomRole:IAMCustomRole") and (wide := [p for p in each(props.get("permissions")) if "*" in str(p)]):
        yield f"permissions has {listed(wide)}: name each permission"
    if kind.startswith("kubernetes:rbac.authorization.k8s.io/"):
        yield from _kubernetes(props)


def _aws_managed(arns: Any) -> Iterator[str]:
    for arn in each(arns):
        if str(arn).rpartition("/")[2] in _AWS_TOO_MUCH:
            yield f"{arn} is attached: write a policy with the actions and resources that the work needs"


def _aws_document(policy: Any) -> Iterator[str]:
    for statement in each(get(document(policy), "Statement")):
        if get(statement, "Effect") != "Allow":
            continue
        if get(statement, "NotAction") is not None:
            yield "a statement allows NotAction, which is everything else: name the actions that are allowed"
        actions = [str(one) for one in each(get(statement, "Action"))]
        if wide := [one for one in actions if one == "*" or one.endswith(":*")]:
            yield f"a statement allows Action {listed(wide)}: name the actions that the work needs"
        changing = [one for one in actions if one not in wide and not _only_reads(one)]
        if changing and "*" in each(get(statement, "Resource")) and get(statement, "Condition") is None:
            yield f'{listed(changing)} is allowed on Resource "*": name the ARNs, or give a Condition'


def _only_reads(action: str) -> bool:
    return action.rpartition(":")[2].startswith(_READING)


def _kubernetes(props: Any) -> Iterator[str]:
    if get(props, "roleRef", "name") == "cluster-admin":
        yield "roleRef is cluster-admin: bind a role with the verbs and resources that the work needs"
    for rule in each(props.get("rules")):
        verbs, resources = get(rule, "verbs"), get(rule, "resources")
        if UNKNOWN in (verbs, resources):
            continue
        if "*" in each(verbs) or "*" in each(resources):
            yield f"a rule allows verbs {listed(each(verbs))} on {listed(each(resources))}: name each of them"
