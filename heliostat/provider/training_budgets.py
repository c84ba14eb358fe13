"""What a training may take, what became of one that its budget ended, and where the report lies."""

from __future__ import annotations

from collections.abc import Iterable

from heliostat.pricing.trainings import usd_an_hour
from heliostat.provider.resource import Context
from heliostat.spec.budget import AfterBudget, limit_of, may_go_on
from heliostat.spec.training_report import TrainingReport, lines, report_key
from heliostat.spec.training_resources import TrainJobInputs
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, open_store


def require_known_price(inputs: TrainJobInputs) -> None:
    """See that a budget in USD can be held.

    Raises:
        PermanentError: the price of its nodes is not known.
    """
    _limit(inputs)


def has_more(inputs: TrainJobInputs, ended_at: str | None) -> bool:
    """Whether a run that a budget ended at some seconds, as its tag has them, may go on by now."""
    return ended_at is not None and may_go_on(float(ended_at), _limit(inputs))


def tell(context: Context, inputs: TrainJobInputs, ended_at: str | None) -> None:
    """Say that a budget ended a training.

    Raises:
        PermanentError: what comes out is to be refused then.
    """
    if ended_at is None:
        return
    ended = f"the training of {inputs.name} was ended by its budget after {float(ended_at):.0f} s"
    more = "with a larger training.budget it goes on from its last checkpoint"
    if inputs.budget is not None and inputs.budget.then is AfterBudget.REFUSE:
        raise PermanentError(f"{ended}, and budget.then is `refuse`: {more}")
    context.warn(f"{ended}; its model is judged as it is. {more[0].upper()}{more[1:]}")


def report_uri(inputs: TrainJobInputs, digest: str) -> str:
    """Where the report of a training lies; empty where there is none, of one by an earlier release."""
    store, key = open_store(inputs.store), report_key(inputs.name, digest)
    return store.uri(key) if store.exists(key) else ""


def report_lines(inputs: TrainJobInputs, digest: str) -> Iterable[str]:
    """The report for people; none where there is none."""
    try:
        content = open_store(inputs.store).get(report_key(inputs.name, digest))
    except ObjectMissingError:
        return ()
    return tuple(lines(TrainingReport.model_validate_json(content)))


def _limit(inputs: TrainJobInputs) -> float | None:
    price, _ = usd_an_hour(inputs.scaling, inputs.group)
    try:
        return limit_of(inputs.budget, price)
    except ValueError as error:
        raise PermanentError(f"the training of {inputs.name}: {error}") from None
