"""The platform `kubernetes` as running pods on a real node: made by its program, from a machine beside the cluster.

What is not the real thing here: pulumi-kubernetes' provider (`applying`) is in no registry, and is played for what the
program asks of it. So is KubeRay's operator (`ray_operator`), where HELIOSTAT_KUBERAY_OPERATOR names no program of it. The
pods ask for less CPU and memory than declared, as the node is small; what they may take at most is as declared. The bucket
is moto's, on a machine of its own. The node enforces no network policies: of those the API server takes what is written, and
that is all that is seen here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from heliostat.platforms.kubernetes import ray_cluster
from tests.kubernetes import platform_stack, prometheus, site
from tests.kubernetes.cluster import Cluster, Refused
from tests.kubernetes.flights import WORK, Flights
from tests.kubernetes.node import Node
from tests.kubernetes.platform_stack import STACK, PlatformStack, eventually
from tests.platforms import strict

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def platform(image: str, node: Node, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformStack]:
    if not strict.DEFINITIONS.exists():
        pytest.skip(f"KubeRay's definitions are not in {strict.DEFINITIONS}")
    with platform_stack.made(node, cluster, image, tmp_path_factory.mktemp("platform")) as found:
        yield found


def test_every_part_runs_and_is_ready(platform: PlatformStack) -> None:
    pods = platform.get("pods")
    parts = sorted(each["metadata"]["labels"]["heliostat/part"] for each in pods)
    assert parts == ["controller", "mlflow", "postgres", "ray", "ray", "ray", "redis", "traffic", "traffic"]
    for pod in pods:
        statuses = pod["status"]["containerStatuses"]
        assert all(each["ready"] and each["restartCount"] == 0 for each in statuses), pod["metadata"]["name"]


def test_an_update_with_nothing_to_do_does_nothing(platform: PlatformStack) -> None:
    before = {each["metadata"]["name"]: each["metadata"]["uid"] for each in platform.get("pods")}
    assert "unchanged" in platform.checkout(STACK, "preview", "--expect-no-changes")
    platform.checkout.up(STACK)
    assert {each["metadata"]["name"]: each["metadata"]["uid"] for each in platform.get("pods")} == before


def test_prometheus_reads_what_the_monitors_name(platform: PlatformStack, image: str) -> None:
    monitors = [*platform.get("podmonitors"), *platform.get("servicemonitors")]
    assert {each["metadata"]["name"] for each in monitors} == {"ray", "controller"}
    there = prometheus.Found(*(platform.get(kind) for kind in ("pods", "services", "endpointslices", "secrets")))
    platform.cluster.apply_all(list(prometheus.manifests(monitors, there, image)))
    place = ("-n", prometheus.NAMESPACE, "pod/prometheus")
    platform.cluster.run("wait", *place, "--for=condition=Ready", "--timeout=110s")
    proxied = f"/api/v1/namespaces/{prometheus.NAMESPACE}/pods/http:prometheus:{prometheus.PORT}/proxy/api/v1"

    def healthy() -> bool:
        targets = json.loads(platform.cluster.run("get", "--raw", f"{proxied}/targets?state=active"))["data"]["activeTargets"]
        states = sorted((each["labels"]["job"], each["health"], each["lastError"]) for each in targets)
        return states == [("PodMonitor/ray", "up", "")] * 3 + [("ServiceMonitor/controller", "up", "")]

    eventually(healthy, "four targets are up")
    query = f"{proxied}/query?query=heliostat_traffic_members"
    found = json.loads(platform.cluster.run("get", "--raw", query))["data"]["result"]
    assert {each["value"][1] for each in found} == {"2"}, found


@pytest.fixture(scope="module")
def flights(platform: PlatformStack) -> Flights:
    found = Flights(platform)
    platform.checkout(WORK, "stack", "init")
    found.use({"kind": "blue-green", "retentionSeconds": 0})
    platform.checkout.up(WORK)
    return found


def test_flights_is_trained_on_the_cluster_and_served_through_the_traffic_planes_service(flights: Flights) -> None:
    assert flights.serving() in flights.checkout(WORK, "history", "flights")


def test_who_has_no_business_with_replicas_does_not_reach_them(flights: Flights) -> None:
    address = next(each["status"]["podIP"] for each in flights.platform.get("pods", "ray.io/node-type=worker"))
    asked = ("wget", "-q", "-T", "5", "-t", "1", "-O", "-", f"http://{address}:{ray_cluster.METRICS}/metrics")
    try:
        flights.platform.cluster.run("exec", "-n", site.NAMESPACE, "redis-0", "--", *asked)
    except Refused as refused:
        assert "exit code 4" in str(refused), refused
    else:
        pytest.skip("the node's network enforces no policies: Redis reaches Ray's workers")


def test_workloads_with_nothing_to_do_are_left_alone(flights: Flights) -> None:
    assert "unchanged" in flights.checkout(WORK, "preview", "--expect-no-changes")


def test_a_canary_and_a_rollback_lose_nothing(flights: Flights) -> None:
    before = flights.serving()
    steps = [{"weight": 20}, {"weight": 60}]
    checks = {"seconds": 4, "minRequests": 20, "checks": [{"kind": "success-rate", "atLeast": 0.98}]}
    flights.use({"kind": "canary", "steps": steps, "analysis": checks, "retentionSeconds": 600}, rows=901)
    with flights.loaded() as load:
        flights.checkout.up(WORK)
    after = flights.serving()
    assert after != before
    assert load.failures == {}
    assert set(load.versions) == {before, after}
    with flights.loaded() as load:
        flights.checkout(WORK, "rollback", "flights", "--yes")
    assert flights.serving() == before
    assert load.failures == {}


def test_a_worker_with_a_replica_that_is_killed_loses_nothing_and_comes_back(flights: Flights) -> None:
    before = flights.replica_pods()
    assert len(set(before)) == 2, f"the replicas are on {before}, not on two workers"
    with flights.loaded() as load:
        flights.platform.cluster.run("delete", "pod", before[0], "-n", site.NAMESPACE, "--force", "--grace-period=0")
        eventually(lambda: before[0] not in (now := flights.replica_pods()) and len(now) == 2, "there are two replicas again")
        eventually(lambda: len(flights.platform.ready("ray.io/node-type=worker")) >= 2, "there are two workers again")
    assert load.failures == {}


def test_a_traffic_pod_that_is_drained_loses_nothing_and_another_takes_its_place(flights: Flights) -> None:
    (drained, *_) = sorted(flights.platform.ready("heliostat/part=traffic"))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": drained, "namespace": site.NAMESPACE}}
    with flights.loaded() as load:
        path = f"/api/v1/namespaces/{site.NAMESPACE}/pods/{drained}/eviction"
        flights.platform.cluster.run("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
        eventually(lambda: drained not in flights.platform.names("pods"), "the drained pod is gone")
        eventually(lambda: len(flights.platform.ready("heliostat/part=traffic")) == 2, "two are ready")
    assert load.failures == {}


def test_taking_all_down_leaves_the_namespace_with_what_was_there_before(flights: Flights) -> None:
    flights.checkout(WORK, "destroy", "--yes", "--skip-preview")
    flights.checkout(STACK, "destroy", "--yes", "--skip-preview")
    eventually(lambda: flights.platform.names("pods") == set(), "no pod is left")
    assert flights.platform.names("secrets") == {"bucket"}
    for kind in ("services", "deployments", "statefulsets", "networkpolicies", "rayclusters", "poddisruptionbudgets"):
        assert flights.platform.names(kind) == set(), kind


def test_a_stack_that_is_made_anew_has_the_runs_of_the_one_before(flights: Flights) -> None:
    assert flights.platform.names("persistentvolumeclaims") >= {"data-postgres-0"}
    flights.checkout.up(STACK)
    assert flights.platform.names("secrets") > {"bucket"}
    host = f"http://{flights.platform.service('mlflow')}:5000"
    code, text, _ = flights.ask(f"{host}/api/2.0/mlflow/experiments/search", json.dumps({"max_results": 100}))
    assert code == 200, text
    assert len(json.loads(text)["experiments"]) > 1
