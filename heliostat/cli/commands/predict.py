"""`heliostat predict`: does what serves answer, and what?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.cli.operators.asking import Prediction, Served


@click.command()
@options.application
@options.stack
@options.as_json
@options.everywhere
def predict(application: str | None, stack: str | None, as_json: bool) -> int:
    """Ask APPLICATION, or every application of the stack, for a prediction, with the example of its own contract.

    One that does not answer yet is waited for as long as its start may take. Exit code 1 where one does not answer.
    """
    from heliostat.cli.exits import Exit
    from heliostat.cli.operators import asking
    from heliostat.cli.rollouts.access import chosen
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.systems.errors import PermanentError

    stacks = stacks_here()
    name = stacks.name(stack)
    there = asking.applications(stacks.resources(name))
    if not there:
        raise PermanentError(f"the stack {name!r} has no application: bring it up with `heliostat up -s {name}`")
    if application:
        wanted = chosen(application, tuple(one.name for one in there))
        there = [one for one in there if one.name == wanted]
    answered = [found for one in there if (found := _answer(one))]
    if as_json:
        say.out(json.dumps([_as_json(one) for one in answered], indent=2, ensure_ascii=False))
    else:
        _show(answered, stacks.outputs(name).get("platform"))
    return Exit.OK if len(answered) == len(there) else Exit.FAILED


def _answer(served: Served) -> Prediction | None:
    """The answer of an application; None where there is none, which is told."""
    import httpx

    from heliostat.cli.operators.asking import ask
    from heliostat.systems.errors import RetryableError

    def waiting() -> None:
        say.told(f"{served.name} does not answer yet; its start may take {served.start_seconds:.0f} s")

    try:
        with httpx.Client(timeout=30) as client:
            return ask(client, served, waiting)
    except RetryableError as error:
        say.told(f"✗ {error}")
        return None


def _as_json(found: Prediction) -> dict[str, Any]:
    return {
        "application": found.application,
        "url": f"{found.url}/predict",
        "asked": found.asked,
        "answered": json.loads(found.answered),
        "version": found.version,
    }


def _show(answered: list[Prediction], platform: Mapping[str, Any] | None) -> None:
    for found in answered:
        say.out(f"\n{found.application} answers at {found.url}/predict")
        say.out(f"  asked     {json.dumps(found.asked, ensure_ascii=False)}")
        say.out(f"  answered  {found.answered}")
        say.out(f"  version   {found.version or '?'}")
    if platform:
        docs = ", ".join(f"{found.url}/docs" for found in answered)
        _addresses(
            {
                "applications": platform.get("publicUrl"),
                "docs": docs,
                "MLflow": platform.get("trackingUri"),
                "Ray dashboard": f"{platform['ray']['url']} (`heliostat open ray` logs a browser in)"
                if platform.get("ray")
                else "",
                "logs": "`heliostat logs` shows what replicas print",
                "objects": (platform.get("store") or {}).get("uri"),
            }
        )


def _addresses(rows: Mapping[str, Any]) -> None:
    say.out("\nAddresses")
    for label, address in rows.items():
        if address:
            say.out(f"  {label:<14} {say.runnable(str(address))}")
