"""A cluster that somebody else made is looked at, and what is in the way is told with what to do about it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from heliostat.provider.existing_cluster import ExistingClusterHandler
from heliostat.provider.resource import PermanentError, RetryableError
from heliostat.spec.cluster_requirements import ClusterRequirements, Survey, another_cluster, problems
from heliostat.spec.platform_resources import ExistingClusterInputs, ExistingClusterOutputs
from heliostat.spec.platforms.kubernetes import KubernetesPlatform
from heliostat.spec.platforms.requirements import requirements_of
from heliostat.systems import kubernetes_survey
from heliostat.systems.kubernetes_api import RefusedError
from tests.platforms.kubernetes_config import PLATFORM

WANTED = ClusterRequirements(context="prod", namespace="ml", creates_namespace=False, secrets={"bucket": ()})
GOOD = Survey(
    version="v1.36.3",
    uid="uid-1",
    namespace=True,
    definitions={"rayclusters.ray.io": True, "servicemonitors.monitoring.coreos.com": True},
    operators=("v1.7.0",),
    storage_classes={"fast": True},
    secrets={"bucket": frozenset({"AWS_ACCESS_KEY_ID"})},
)


def test_a_cluster_that_has_all_of_it_is_no_problem():
    assert problems(GOOD, WANTED) == []


@pytest.mark.parametrize(
    ("found", "wanted", "told"),
    [
        ({"version": "v1.27.4"}, {}, "Kubernetes is v1.27.4, and 1.31 is the oldest"),
        ({"denied": ("create secrets",)}, {}, "this user may not create secrets in the namespace ml"),
        ({"definitions": {"rayclusters.ray.io": False}}, {"installs_operator": False}, "knows no RayClusters"),
        ({"lacking": ("authOptions.secretName",)}, {}, "does not know authOptions.secretName, and would drop it"),
        ({"operators": ("v1.4.2",)}, {"installs_operator": False}, "operator is v1.4.2, and 1.7.0 is the oldest"),
        ({"operators": ()}, {"installs_operator": False}, "no operator of KubeRay runs"),
        (
            {"definitions": {"servicemonitors.monitoring.coreos.com": False}},
            {"monitors": True},
            "set monitoring.serviceMonitors to false",
        ),
        ({"storage_classes": {"fast": True}}, {"storage_class": "slow"}, "no storage class slow (there are: fast)"),
        ({"storage_classes": {"fast": False}}, {}, "no default storage class (there are: fast)"),
        ({"namespace": False}, {}, "no namespace ml, and createNamespace is false"),
        ({"secrets": {"bucket": None}}, {}, "no secret bucket in the namespace ml: make it"),
        ({}, {"secrets": {"bucket": ("uri",)}}, "the secret bucket in the namespace ml has no uri"),
        ({}, {"creates_namespace": True}, "set createNamespace to false"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_is_in_the_way_is_told_with_what_to_do(found, wanted, told):
    texts = problems(replace(GOOD, **found), WANTED.model_copy(update=wanted))
    assert len(texts) == 1
    assert told in texts[0]


def test_all_of_it_is_told_at_once():
    assert len(problems(replace(GOOD, version="v1.20.0", denied=("create pods",), storage_classes={}), WANTED)) == 3


def test_what_may_not_be_seen_is_no_problem():
    unseen = Survey(version="v1.36.3")
    assert problems(unseen, WANTED.model_copy(update={"installs_operator": False, "monitors": True})) == []


def test_another_cluster_under_the_same_name_is_told():
    assert another_cluster("uid-1", GOOD, WANTED) is None
    assert another_cluster("", GOOD, WANTED) is None
    assert another_cluster("uid-0", replace(GOOD, uid=None), WANTED) is None
    assert "the context prod leads to another cluster" in str(another_cluster("uid-0", GOOD, WANTED))


def test_a_platform_says_what_it_needs():
    found = requirements_of(KubernetesPlatform.model_validate(PLATFORM))
    assert found.secrets == {"bucket": ()}
    assert (found.monitors, found.installs_operator, found.creates_namespace) == (True, True, False)
    own = {"database": {"kind": "postgres", "secret": "db"}, "redis": {"address": "redis://r:1", "passwordSecret": "r"}}
    found = requirements_of(KubernetesPlatform.model_validate({**PLATFORM, **own}))
    assert found.secrets == {"bucket": (), "db": ("uri",), "r": ("password",)}


class Cluster:
    """An API server's answers by path; what is not among them is not there, and what is None may not be seen."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/version": {"gitVersion": "v1.36.3"},
            "/api/v1/namespaces/kube-system": {"metadata": {"uid": "uid-1"}},
            "/api/v1/namespaces/ml": {},
            "/api/v1/namespaces/ml/secrets/bucket": {"data": {"AWS_ACCESS_KEY_ID": "c2VzYW1l"}},
            "/apis/apps/v1/deployments": {"items": [_operator("quay.io/kuberay/operator:v1.7.0")]},
            "/apis/storage.k8s.io/v1/storageclasses": {
                "items": [
                    {"metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
                ]
            },
        }
        self.denied: set[tuple[str, str]] = set()
        self.fails: Exception | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.fails is not None:
            raise self.fails
        if request.method == "POST":
            asked = json.loads(request.content)["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.denied
            return httpx.Response(201, json={"status": {"allowed": allowed}})
        if request.url.path not in self.answers:
            raise RefusedError("not there", 404)
        if (found := self.answers[request.url.path]) is None:
            raise RefusedError("not for you", 403)
        return httpx.Response(200, json=found)


def _operator(image: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"image": image}]}}}}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(kubernetes_survey, "to_api", lambda where, what: httpx.MockTransport(made))
    return made


def test_what_is_there_is_found(cluster):
    found = kubernetes_survey.survey(WANTED)
    assert problems(found, WANTED) == []
    assert (found.uid, found.operators, found.storage_classes) == ("uid-1", ("v1.7.0",), {"fast": True})
    assert found.secrets == {"bucket": frozenset({"AWS_ACCESS_KEY_ID"})}
    assert found.definitions["rayclusters.ray.io"] is False
    assert "sesame" not in repr(found)


def test_what_this_user_may_not_do_is_found(cluster):
    cluster.denied = {("create", "secrets"), ("create", "services")}
    assert kubernetes_survey.survey(WANTED).denied == ("create secrets", "create services", "create services/proxy")


def test_what_this_user_may_not_see_is_left_out(cluster):
    for path in list(cluster.answers):
        if path != "/version":
            cluster.answers[path] = None
    found = kubernetes_survey.survey(WANTED)
    assert (found.uid, found.operators, found.storage_classes, found.secrets, found.namespace) == (
        None,
        None,
        None,
        None,
        None,
    )
    assert problems(found, WANTED) == []


def test_a_definition_that_lacks_what_is_used_is_found(cluster):
    spec = {"properties": {"autoscalerOptions": {"properties": {"version": {}}}, "workerGroupSpecs": {"items": {}}}}
    schema = {"openAPIV3Schema": {"properties": {"spec": spec}}}
    definition = {"spec": {"versions": [{"name": "v1", "served": True, "schema": schema}]}}
    cluster.answers["/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rayclusters.ray.io"] = definition
    spec["properties"]["autoscalerOptions"]["properties"]["version"] = {"type": "string"}
    lacking = kubernetes_survey.survey(WANTED).lacking
    assert "autoscalerOptions.version" not in lacking
    assert {"authOptions.secretName", "workerGroupSpecs.numOfHosts"} <= set(lacking)


def test_an_answer_that_is_none_of_kubernetes_is_told(cluster):
    cluster.answers["/apis/apps/v1/deployments"] = {"what": "ever"}
    with pytest.raises(PermanentError, match="no Kubernetes API server"):
        kubernetes_survey.survey(WANTED)


class Told:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


INPUTS = ExistingClusterInputs.model_validate(WANTED.model_dump())
OUTPUTS = ExistingClusterOutputs(**WANTED.model_dump(), uid="uid-1")


async def test_a_preview_goes_on_without_a_way_to_the_cluster_and_says_so(cluster):
    cluster.fails = PermanentError("there is no kubeconfig")
    told = Told()
    await ExistingClusterHandler().preview(told, None, INPUTS)
    assert told.warnings == ["the cluster was not looked at: there is no kubeconfig"]
    assert await ExistingClusterHandler().read(told, "uid-1", OUTPUTS) == OUTPUTS


async def test_a_preview_ends_where_something_is_in_the_way(cluster):
    del cluster.answers["/api/v1/namespaces/ml"]
    with pytest.raises(PermanentError, match="there is no namespace ml"):
        await ExistingClusterHandler().preview(Told(), None, INPUTS)


async def test_an_update_makes_nothing_without_a_way_to_the_cluster(cluster):
    cluster.fails = RetryableError("it does not answer")
    with pytest.raises(RetryableError):
        await ExistingClusterHandler().create(Told(), INPUTS)


async def test_the_cluster_is_remembered_and_another_one_is_refused(cluster):
    handler = ExistingClusterHandler()
    made = await handler.create(Told(), INPUTS)
    assert made.outputs.uid == "uid-1"
    cluster.answers["/api/v1/namespaces/kube-system"] = {"metadata": {"uid": "uid-2"}}
    for call in (
        handler.read(Told(), "uid-1", made.outputs),
        handler.preview(Told(), made.outputs, INPUTS),
        handler.update(Told(), "uid-1", made.outputs, INPUTS),
    ):
        with pytest.raises(PermanentError, match="leads to another cluster"):
            await call
