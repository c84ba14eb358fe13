"""Asks every application of a stack for a prediction, with the example of its own contract.

usage: predict.py STACK

An application that does not answer yet, as on a cluster that was just made anew, is waited for as long as its start may take.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from heliostat.systems.loopback import past_proxies

HELIOSTAT = Path(sys.executable).with_name("heliostat")
PAUSE_SECONDS = 0.5


def said(stack: str, *command: str) -> dict[str, Any]:
    """What a command on the stack says, as JSON."""
    argv = [str(HELIOSTAT), "stack", *command, "--stack", stack]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own command
    return dict(json.loads(done.stdout))


def start_seconds(stack: str, name: str) -> float:
    """How long the start of an application may take, as it was declared."""
    resources = said(stack, "export")["deployment"].get("resources", [])
    given = [each["inputs"] for each in resources if each["type"].endswith(":Application")]
    declared = next((inputs for inputs in given if inputs.get("name") == name), {})
    return float(declared.get("startupTimeoutSeconds", 0))


def example(openapi: dict[str, Any], path: str) -> Any:
    """The example request of a path's POST, from the contract."""
    content = openapi["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]


def asked(client: httpx.Client, application: dict[str, str]) -> tuple[Any, httpx.Response]:
    """The contract's own example, and the answer to it.

    Raises:
        httpx.HTTPError: there is none.
    """
    openapi = client.get(application["openapiUrl"]).raise_for_status().json()
    path = next(path for path in openapi["paths"] if path.endswith("/predict"))
    request = example(openapi, path)
    return request, client.post(f"{application['url']}/predict", json=request).raise_for_status()


def is_starting(error: httpx.HTTPError) -> bool:
    """Whether the error is that of an application which has no replica yet, or of a traffic plane that just starts."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.SERVICE_UNAVAILABLE
    return isinstance(error, httpx.TransportError)


def ask(stack: str, client: httpx.Client, name: str, application: dict[str, str], console: Console) -> bool:
    """Ask one application and show question and answer; False where it does not answer in the time of a start."""
    began, limit = time.monotonic(), 0.0
    with console.status(f"asking {name}") as status:
        while True:
            try:
                request, answer = asked(client, application)
                break
            except httpx.HTTPError as error:
                if not limit and is_starting(error):
                    limit = start_seconds(stack, name)
                    console.print(f"{name} does not answer yet; its start may take {limit:.0f} s", highlight=False)
                waited = time.monotonic() - began
                if not is_starting(error) or waited > limit:
                    console.print(f"[red]✗[/] {name} does not answer after {waited:.0f} s: {error}", highlight=False)
                    return False
                status.update(f"{name} is starting: {waited:.0f} s of at most {limit:.0f} s ({error})")
                time.sleep(PAUSE_SECONDS)
    console.print(f"\n[bold]{name}[/] answers at {application['url']}/predict", highlight=False)
    console.print(f"  asked     {json.dumps(request)}", highlight=False)
    console.print(f"  answered  {answer.text}", highlight=False)
    console.print(f"  version   {answer.headers.get('x-heliostat-version', '?')}", highlight=False)
    return True


def main() -> int:
    """Exit code 0 where every application answered."""
    os.environ.update(past_proxies(os.environ))
    stack = sys.argv[1] if len(sys.argv) > 1 else "local"
    console = Console(soft_wrap=True)
    found = said(stack, "output", "--json")
    applications = {name: value for name, value in found.items() if isinstance(value, dict) and "openapiUrl" in value}
    with httpx.Client(timeout=30) as client:
        answered = [ask(stack, client, name, application, console) for name, application in applications.items()]
    platform = found.get("platform")
    if platform:
        console.print("\n[bold]Addresses[/]")
        rows = {
            "applications": platform["publicUrl"],
            "docs": ", ".join(f"{value['url']}/docs" for value in applications.values()),
            "MLflow": platform["trackingUri"],
            "Ray dashboard": f"{platform['ray']['url']} (`heliostat dashboard` logs a browser in)",
            "logs": "`heliostat logs` shows what replicas print",
            "objects": platform["store"]["uri"],
        }
        for label, address in rows.items():
            console.print(f"  {label:<14} {address}", highlight=False)
    return 0 if applications and all(answered) else 1


if __name__ == "__main__":
    sys.exit(main())
