"""What there is in a Kubernetes cluster, and what this user may do there, by its API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from heliostat.spec.cluster_requirements import KINDS, MONITORS, RAY_CLUSTERS, RAY_FIELDS, ClusterRequirements, Survey
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kubernetes_api import RefusedError, to_api

_CALL_SECONDS: Final = 10.0
_OPERATOR: Final = "app.kubernetes.io/name=kuberay-operator"
_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
_VERBS: Final = ("create", "patch", "delete")


def survey(wanted: ClusterRequirements) -> Survey:
    """Look at all that matters to a stack; nothing is changed. This blocks.

    Raises:
        PermanentError: there is no way to the cluster, or nobody is let in.
        RetryableError: it does not answer.
    """
    with _open(wanted) as api:
        namespace = f"/api/v1/namespaces/{wanted.namespace}"
        system = api.get("/api/v1/namespaces/kube-system")
        definitions = {name: api.get(_definition(name)) for name in (RAY_CLUSTERS, *MONITORS)}
        return Survey(
            version=str((api.get("/version").found or {}).get("gitVersion", "")),
            uid=system.found["metadata"]["uid"] if system.found else None,
            namespace=api.get(namespace).is_there,
            denied=tuple(api.denied(wanted)),
            definitions={name: each.is_there for name, each in definitions.items()},
            lacking=tuple(_lacking(definitions[RAY_CLUSTERS].found)),
            operators=_operators(api),
            storage_classes=_storage_classes(api),
            secrets=_secrets(api, namespace, wanted),
        )


class _Answer:
    """What was found; nothing where it is not there, or may not be seen."""

    def __init__(self, found: Any, is_there: bool | None) -> None:
        self.found, self.is_there = found, is_there


class _Api:
    """One cluster's API."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: str) -> _Answer:
        """Read something."""
        try:
            return _Answer(self._client.get(path, params=query).raise_for_status().json(), True)
        except RefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return _Answer(None, False)
            if error.status == httpx.codes.FORBIDDEN:
                return _Answer(None, None)
            raise

    def denied(self, wanted: ClusterRequirements) -> Iterator[str]:
        """What this user may not do, of what it takes to make and unmake a stack."""
        place = {"namespace": wanted.namespace}
        asked = [(group, kind, verb, place) for group, kind in KINDS for verb in _VERBS]
        asked.append(("", "services/proxy", "create", place))
        if wanted.creates_namespace:
            asked += [("", "namespaces", verb, {}) for verb in _VERBS]
        for group, kind, verb, where in asked:
            resource, _, below = kind.partition("/")
            attributes = {"group": group, "resource": resource, "subresource": below, "verb": verb, **where}
            body = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            if not self._client.post(path, json=body).raise_for_status().json()["status"]["allowed"]:
                yield f"{verb} {kind}"


@contextmanager
def _open(wanted: ClusterRequirements) -> Iterator[_Api]:
    transport = to_api(wanted.where, "the cluster")
    with httpx.Client(transport=transport, base_url="http://kubernetes", timeout=_CALL_SECONDS) as client:
        try:
            yield _Api(client)
        except httpx.HTTPError as error:
            raise RetryableError(f"the cluster's API does not answer: {error or type(error).__name__}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise PermanentError("what answers is no Kubernetes API server: name another context or kubeconfig") from None


def _definition(name: str) -> str:
    return f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"


def _lacking(definition: Any) -> Iterator[str]:
    """Of the fields that are used those that a definition does not know."""
    if definition is None:
        return
    served = [each for each in definition["spec"]["versions"] if each["name"] == "v1" and each["served"]]
    for path in RAY_FIELDS:
        schema = served[0]["schema"]["openAPIV3Schema"]["properties"]["spec"] if served else {}
        for part in path.split("."):
            schema = schema.get("items", schema).get("properties", {}).get(part, {})
        if not schema:
            yield path


def _operators(api: _Api) -> tuple[str, ...] | None:
    answer = api.get("/apis/apps/v1/deployments", labelSelector=_OPERATOR)
    if answer.found is None:
        return None
    images = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in answer.found["items"]]
    return tuple(image.rpartition(":")[2] for image in images)


def _storage_classes(api: _Api) -> Mapping[str, bool] | None:
    answer = api.get("/apis/storage.k8s.io/v1/storageclasses")
    if answer.found is None:
        return None
    found = [each["metadata"] for each in answer.found["items"]]
    return {each["name"]: (each.get("annotations") or {}).get(_DEFAULT) == "true" for each in found}


def _secrets(api: _Api, namespace: str, wanted: ClusterRequirements) -> Mapping[str, frozenset[str] | None] | None:
    """The entries of the secrets that are named, never what is in them; None where one may not be seen."""
    answers = {name: api.get(f"{namespace}/secrets/{name}") for name in wanted.secrets}
    if any(each.is_there is None for each in answers.values()):
        return None
    return {name: frozenset(each.found.get("data") or {}) if each.found else None for name, each in answers.items()}
