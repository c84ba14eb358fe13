"""A plan's nodes and pods in a real cluster, and where its scheduler put the pods."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.simulated_nodes import SIMULATED

_SECONDS = 300
_AT_ONCE = 200
_SEEN = r'{.metadata.name}|{.spec.nodeName}|{.status.conditions[?(@.type=="PodScheduled")].reason}{"\n"}'


@dataclass(frozen=True)
class Placed:
    """A pod, and what the scheduler did with it."""

    name: str
    labels: Mapping[str, str]
    node: str | None
    told: str
    """Why it is on no node."""


@dataclass(frozen=True)
class Simulation:
    """What is made for a test, in a namespace of its own."""

    cluster: Cluster
    namespace: str

    def make_nodes(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Have these nodes, ready."""
        made = list(nodes)
        self._create(made)
        names = [each["metadata"]["name"] for each in made]
        self._watch(["nodes", "-l", SIMULATED], _READY, lambda seen: all(seen.get(name) == "True" for name in names))

    def make(self, pods: Iterable[Mapping[str, Any]]) -> list[str]:
        """Have these pods, whose names it gives."""
        made = list(pods)
        self._create(made)
        return [each["metadata"]["name"] for each in made]

    def apply_template(self, kind: str, inputs: Mapping[str, Any]) -> int:
        """Have what a plan declares make its pods, with volumes that need no disks; says how many pods those are."""
        spec = json.loads(json.dumps(inputs["spec"]))
        claims = spec.pop("volumeClaimTemplates", [])
        volumes = spec["template"]["spec"].setdefault("volumes", [])
        volumes += [{"name": each["metadata"]["name"], "emptyDir": {}} for each in claims]
        metadata = {"name": inputs["metadata"]["name"], "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec})
        return int(spec.get("replicas", 1))

    def accounts(self, names: Collection[str]) -> None:
        """Have these service accounts, without which no pod is let in."""
        for name in names:
            metadata = {"name": name, "namespace": self.namespace}
            self.cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

    def scheduled(self, names: Collection[str]) -> None:
        """Wait until all of these pods have a node."""
        self._watch_pods(lambda seen: all(seen.get(name, "").partition("|")[0] for name in names))

    def this_many_scheduled(self, selector: str, count: int) -> None:
        """Wait until so many pods with a label have a node."""
        self._watch_pods(lambda seen: sum(bool(each.partition("|")[0]) for each in seen.values()) >= count, selector)

    def unschedulable(self, names: Collection[str]) -> None:
        """Wait until the scheduler has given up on all of these pods, for now."""
        self._watch_pods(lambda seen: all(seen.get(name, "").endswith("|Unschedulable") for name in names))

    def pods(self) -> dict[str, Placed]:
        """All pods, by name."""
        return {each.name: each for each in map(_placed, self._list("pods", "-n", self.namespace))}

    def nodes(self) -> dict[str, dict[str, str]]:
        """The labels of all simulated nodes, by name."""
        return {each["metadata"]["name"]: each["metadata"]["labels"] for each in self._list("nodes", "-l", SIMULATED)}

    def delete(self, kind: str, names: Collection[str]) -> None:
        """Have some pods or nodes gone at once, as those of a machine that was taken away."""
        options = ("-n", self.namespace, "--force", "--grace-period=0") if kind == "pod" else ()
        self.cluster.run("delete", kind, *options, *names)

    def clear(self) -> None:
        """Leave nothing."""
        self.cluster.run("delete", "namespace", self.namespace, "--wait=false")
        self.cluster.run("delete", "pods", "--all", "-n", self.namespace, "--force", "--grace-period=0", "--wait=false")
        self.cluster.run("delete", "nodes", "-l", SIMULATED, "--wait=false")

    def _list(self, *arguments: str) -> list[dict[str, Any]]:
        return list(json.loads(self.cluster.run("get", *arguments, "-o", "json"))["items"])

    def _create(self, made: Iterable[Mapping[str, Any]]) -> None:
        items = list(made)
        # No more at once than are made within the time that a command has.
        for first in range(0, len(items), _AT_ONCE):
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items[first : first + _AT_ONCE]})
            self.cluster.run("create", "--validate=strict", "-o", "name", "-f", "-", text=text)

    def _watch_pods(self, done: Callable[[dict[str, str]], bool], selector: str = "") -> None:
        chosen = ["-l", selector] if selector else []
        self._watch(["pods", "-n", self.namespace, *chosen], _SEEN, done)

    def _watch(self, what: list[str], shown: str, done: Callable[[dict[str, str]], bool]) -> None:
        """Follow objects, by name what is shown of each, until they are as wanted."""
        seen: dict[str, str] = {}
        # In chunks it would not show what is there to begin with.
        process = self.cluster.start("get", *what, "--watch", "--chunk-size=0", "-o", f"jsonpath={shown}")
        alarm = threading.Timer(_SECONDS, process.kill)
        alarm.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                name, _, rest = line.rstrip("\n").partition("|")
                seen[name] = rest
                if done(seen):
                    return
        finally:
            alarm.cancel()
            process.kill()
            process.wait()
        raise AssertionError(f"not within {_SECONDS} s; of {len(seen)} there are {_few(seen)}")


_READY = r'{.metadata.name}|{.status.conditions[?(@.type=="Ready")].status}{"\n"}'


def _few(seen: Mapping[str, str]) -> dict[str, str]:
    """Some of those that do not seem to be as wanted."""
    return dict([each for each in seen.items() if each[1] != "True" and (each[1] or "|").startswith("|")][:20])


def _placed(pod: Mapping[str, Any]) -> Placed:
    conditions = {each["type"]: each for each in pod["status"].get("conditions", [])}
    told = conditions.get("PodScheduled", {}).get("message", "")
    return Placed(pod["metadata"]["name"], pod["metadata"].get("labels", {}), pod["spec"].get("nodeName"), told)
