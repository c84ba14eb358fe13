"""A one-node Kubernetes of this machine, two machines beside it on its network, and a shell on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.network.lan import Lan, Machine

ADDRESS, API_PORT = "10.231.0.2", 6443
PODS = "10.244.0.0/24"
_UP_SECONDS = 600


class Node:
    """A node as its scripts bring it up.

    Args:
        scripts: The folder of `up.sh` and `down.sh`.
        cache: Its programs.
        state: Its own folder.
    """

    def __init__(self, scripts: Path, cache: Path, state: Path) -> None:
        self.scripts, self.cache, self.state = scripts, cache, state
        self.kubeconfig, self.kubectl = state / "kubeconfig", cache / "bin" / "kubectl"

    def up(self, *images: Path) -> None:
        """Bring it up, if it is not, and give it images."""
        command = [str(self.scripts / "up.sh"), "-s", str(self.state), "-c", str(self.cache), *map(str, images)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_UP_SECONDS, check=False)
        assert ran.returncode == 0, ran.stderr

    def down(self) -> None:
        """Take it down: no process, no cgroup and no data of it is left."""
        subprocess.run([str(self.scripts / "down.sh"), "-s", str(self.state)], check=True, timeout=_UP_SECONDS)

    @property
    def init(self) -> str:
        """Its first process."""
        return (self.state / "init.pid").read_text().strip()

    def tag(self, name: str, other: str) -> None:
        """Have an image known by another name as well."""
        containerd = ("ctr", "-a", "/run/containerd/containerd.sock", "-n", "k8s.io")
        command = ["nsenter", "-t", self.init, "-m", *containerd, "images", "tag", "--force", name, other]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def within(self, command: Sequence[str]) -> list[str]:
        """A command that calls pods and services as one of the node's own processes does."""
        return ["nsenter", "-t", self.init, "-n", *command]

    @contextmanager
    def neighbours(self, logs: Path) -> Iterator[tuple[Machine, Machine]]:
        """A machine with a way to the API server alone, and one that pods reach as well; what runs there ends with it."""
        lan = Lan(f"hs{os.getpid()}", logs)
        try:
            yield self._machine(lan, "desk", "10.231.0.9", []), self._machine(lan, "bucket", "10.231.0.8", [PODS])
        finally:
            for machine in lan.machines:
                machine.stop()
                subprocess.run(["ip", "netns", "del", machine.namespace], check=True, timeout=30)

    def _machine(self, lan: Lan, name: str, address: str, routes: Sequence[str]) -> Machine:
        made = Machine(lan, name, address)
        _ip("netns", "add", made.namespace)
        lan.machines.append(made)
        link = ("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", made.namespace)
        for command in (link, ("ip", "link", "set", name, "master", "node0", "up")):
            subprocess.run(self.within(command), check=True, capture_output=True, timeout=30)
        _ip("-n", made.namespace, "address", "add", f"{address}/24", "dev", "eth0")
        for each in ("lo", "eth0"):
            _ip("-n", made.namespace, "link", "set", each, "up")
        for route in routes:
            _ip("-n", made.namespace, "route", "add", route, "via", ADDRESS)
        return made


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)
