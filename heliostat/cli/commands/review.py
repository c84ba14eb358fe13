"""`heliostat review`: what came of the reviews of an application's answers, and where people review them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.review import Accuracy, ReviewReport
    from heliostat.systems.controller_api import ControllerClient


@click.command()
@options.application
@options.stack
@options.as_json
@options.everywhere
def review(application: str | None, stack: str | None, as_json: bool) -> None:
    """Show how many answers wait for people, how far these agree, and how often the model was right.

    APPLICATION may be left out where there is only one.
    """
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.locate import controller_of

    async def ask(client: ControllerClient) -> ReviewReport:
        return await client.reviews((await status_of(client, application, stack)).name)

    found = with_controller(stack, ask)
    if as_json:
        say.out(found.model_dump_json(indent=2))
        return
    disputed = f", {found.disputed} disputed" if found.disputed else ""
    say.out(f"{found.application}: {found.waiting} wait, {found.settled} settled{disputed}")
    for each in found.agreements:
        kappa = "not defined" if each.kappa is None else f"{each.kappa:.2f}"
        names = " and ".join(each.reviewers)
        say.out(f"  {names}: {each.items} in common, {each.observed:.0%} alike, Cohen's kappa {kappa}")
    say.out(f"  right, of all answers        {_share(found.weighted)}, weighted by how likely each was chosen")
    say.out(f"  right, of random ones alone  {_share(found.random)}")
    say.out(f"  right, of all labels alike   {_share(found.unweighted)}, which is not of all answers")
    say.out(f"people review at {controller_of(stack).url}/review/{found.application}")


def _share(found: Accuracy) -> str:
    if found.share is None:
        return "not known yet"
    return f"{found.share:.1%} ({found.low:.1%} to {found.high:.1%}, {found.items} labels)"
