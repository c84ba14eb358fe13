"""Asks every application of a stack for a prediction, with the example of its own contract.

usage: predict.py STACK
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from heliostat.systems.loopback import past_proxies

HELIOSTAT = Path(sys.executable).with_name("heliostat")


def outputs(stack: str) -> dict[str, Any]:
    """The stack's outputs, as the state has them."""
    command = [str(HELIOSTAT), "stack", "output", "--json", "--stack", stack]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own command
    return dict(json.loads(done.stdout))


def example(openapi: dict[str, Any], path: str) -> Any:
    """The example request of a path's POST, from the contract."""
    content = openapi["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return content["example"] if "example" in content else next(iter(content["examples"].values()))["value"]


def ask(client: httpx.Client, name: str, application: dict[str, str], console: Console) -> bool:
    """Ask one application and show question and answer; False where it does not answer."""
    try:
        openapi = client.get(application["openapiUrl"]).raise_for_status().json()
        path = next(path for path in openapi["paths"] if path.endswith("/predict"))
        request = example(openapi, path)
        answer = client.post(f"{application['url']}/predict", json=request).raise_for_status()
    except httpx.HTTPError as error:
        console.print(f"[red]✗[/] {name} does not answer: {error}", highlight=False)
        return False
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
    found = outputs(stack)
    applications = {name: value for name, value in found.items() if isinstance(value, dict) and "openapiUrl" in value}
    with httpx.Client(timeout=30) as client:
        answered = [ask(client, name, application, console) for name, application in applications.items()]
    platform = found.get("platform")
    if platform:
        console.print("\n[bold]Addresses[/]")
        rows = {
            "applications": platform["publicUrl"],
            "docs": ", ".join(f"{value['url']}/docs" for value in applications.values()),
            "MLflow": platform["trackingUri"],
            "Ray dashboard": platform["ray"]["url"],
            "objects": platform["store"]["uri"],
        }
        for label, address in rows.items():
            console.print(f"  {label:<14} {address}", highlight=False)
    return 0 if applications and all(answered) else 1


if __name__ == "__main__":
    sys.exit(main())
