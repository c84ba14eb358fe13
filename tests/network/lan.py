"""Machines on a network of their own: network namespaces on one bridge, each with an address and nothing but that in common.

They share this machine's files and clock. Root is needed, and iproute2; nothing of this machine's own network is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_PREFIX = "10.77.0"


def why_not() -> str:
    """Why there can be no such network here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if shutil.which("ip") else "iproute2 is not installed"


@dataclass
class Lan:
    """A bridge in a namespace, and the machines at it."""

    name: str
    logs: Path
    machines: list[Machine] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def made(cls, logs: Path) -> Iterator[Lan]:
        """A network for as long as the context lasts; all that runs in it ends with it."""
        found = cls(f"hs{os.getpid()}", logs)
        found._ip("netns", "add", found.name)
        try:
            found._ip("-n", found.name, "link", "add", "bridge", "type", "bridge")
            found._ip("-n", found.name, "link", "set", "bridge", "up")
            yield found
        finally:
            for machine in reversed(found.machines):
                machine.stop()
                found._ip("netns", "del", machine.namespace)
            found._ip("netns", "del", found.name)

    def machine(self, name: str) -> Machine:
        """Another machine."""
        made = Machine(self, name, f"{_PREFIX}.{len(self.machines) + 2}")
        port = f"port{len(self.machines)}"
        self._ip("netns", "add", made.namespace)
        self.machines.append(made)
        self._ip("-n", self.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", made.namespace)
        self._ip("-n", self.name, "link", "set", port, "master", "bridge", "up")
        self._ip("-n", made.namespace, "address", "add", f"{made.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            self._ip("-n", made.namespace, "link", "set", link, "up")
        return made

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)


@dataclass
class Machine:
    """One of them."""

    lan: Lan
    name: str
    address: str
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return f"{self.lan.name}-{self.name}"

    @property
    def log(self) -> Path:
        return self.lan.logs / f"{self.name}.log"

    def start(self, command: Sequence[str], environment: Mapping[str, str], own: Path | None = None) -> None:
        """Start a service, which runs until the network goes; what it writes to the folder `own` no other machine sees."""
        if own is not None:
            command = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs tmpfs {own} && exec "$@"', "sh", *command]
        with self.log.open("ab") as output:
            started = subprocess.Popen(
                self._inside(command),
                env=dict(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._running.append(started)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None, seconds: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._inside(command),
            env=dict(environment),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def _inside(self, command: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *command]

    def get(self, url: str, headers: Mapping[str, str] | None = None, body: object = None) -> httpx.Response:
        """What a client on this machine is answered."""
        import json
        import sys

        program = (
            "import httpx, json, sys; url, headers, body = json.loads(sys.argv[1]);"
            "found = httpx.request('POST' if body else 'GET', url, headers=headers, json=body, timeout=20, trust_env=False);"
            "print(json.dumps([found.status_code, found.text]))"
        )
        done = self.run([sys.executable, "-c", program, json.dumps([url, headers or {}, body])], os.environ, seconds=60)
        if done.returncode:
            raise ConnectionError(done.stderr.strip().rpartition("\n")[2])
        status, text = json.loads(done.stdout)
        return httpx.Response(status, text=text)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Wait until something holds; with the end of this machine's log where it does not."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(ConnectionError):
                if holds():
                    return
            ended = [each.args for each in self._running if each.poll() is not None]
            if ended or time.monotonic() > end:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])
                raise AssertionError(f"{self.name}: not {what}{f'; {ended} ended' if ended else ''}\n{tail}")
            time.sleep(0.3)

    def listeners(self) -> list[str]:
        """The local addresses at which something on this machine listens."""
        done = self.run(["ss", "-Hlnt"], os.environ, seconds=20)
        return [line.split()[3].rpartition(":")[0] for line in done.stdout.splitlines()]

    def stop(self) -> None:
        """End everything that runs here, whoever started it."""
        import signal

        for _ in range(50):
            done = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
            pids = [int(each) for each in done.stdout.split()]
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        for each in self._running:
            each.wait(timeout=10)
