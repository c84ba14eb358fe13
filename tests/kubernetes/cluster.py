"""A cluster as the tests of this folder ask it: by kubectl, as people do."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_SECONDS = 120


class Refused(AssertionError):
    """What the API server said no to."""


class Cluster:
    """One that may be written to."""

    def __init__(self, kubeconfig: Path, kubectl: str) -> None:
        self.kubeconfig, self._kubectl = kubeconfig, kubectl

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl."""
        ran = subprocess.run(
            self._command(arguments), input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if ran.returncode:
            raise Refused(ran.stderr.strip())
        return ran.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Have kubectl run on, for what it writes meanwhile."""
        return subprocess.Popen(self._command(arguments), stdout=subprocess.PIPE, text=True)

    def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Apply it as the platform does: on the server, with strict validation; what is there then."""
        options = ("--server-side", "--field-manager=heliostat", "--validate=strict", "-o", "json", "-f", "-")
        return dict(json.loads(self.run("apply", *options, text=json.dumps(manifest))))

    def delete(self, manifest: Mapping[str, Any]) -> None:
        """Delete it, and do not wait for whoever has to do something about it."""
        self.run("delete", "--wait=false", "-f", "-", text=json.dumps(manifest))

    def exists(self, manifest: Mapping[str, Any]) -> bool:
        """Whether it is there, or on its way out."""
        found = self.run("get", "--ignore-not-found", "-o", "name", "-f", "-", text=json.dumps(manifest))
        return bool(found.strip())

    def apply_all(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        """Apply several at once."""
        found = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(found))

    def define(self, file: Path) -> None:
        """Have it know a kind; by the client alone such definitions are too large."""
        self.run("apply", "--server-side", "--force-conflicts", "-f", str(file))
        # kubectl ends where the server has not written any condition yet.
        end = time.monotonic() + _SECONDS
        while True:
            try:
                self.run("wait", "--for=condition=Established", "--timeout=60s", "-f", str(file))
            except Refused as error:
                if "conditions accessor error" not in str(error) or time.monotonic() > end:
                    raise
            else:
                return

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [self._kubectl, "--kubeconfig", str(self.kubeconfig), *arguments]
