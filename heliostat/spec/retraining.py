"""When a model is to be trained again: triggers, and what holds them back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from heliostat.spec.base import Model, is_empty
from heliostat.spec.batch import require_cron
from heliostat.spec.findings import Aspect, Severity

UNTIL: Final = "data.until"
"""What a retraining sets where a workload's rows are ingested, as `dataParameter` names it."""


def moment_of(until: datetime) -> str:
    """A moment as a config has it, in UTC, so that of two texts the later one is the greater; without a zone it is of UTC."""
    known = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return f"{known.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class ScheduleTrigger(Model):
    """A training is due at times."""

    kind: Literal["schedule"] = "schedule"
    schedule: str
    """As cron says it and in UTC: `0 3 1 * *` is the first of each month at three."""

    _is_cron = field_validator("schedule")(require_cron)


class NewDataTrigger(Model):
    """A training is due when so much is there that the model has not seen."""

    kind: Literal["new-data"] = "new-data"
    rows: Annotated[int, Field(ge=1)] | None = None
    """So many labelled rows since its data: of the prediction log, or of the files or the query that its rows come from."""
    share: Annotated[float, Field(gt=0)] | None = None
    """So many, as a share of the rows that it was trained on."""

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if (self.rows is None) == (self.share is None):
            raise ValueError("new data need either `rows` or `share`: how much is enough")
        return self


class FindingTrigger(Model):
    """A training is due when monitors found a breach in so many windows one after another."""

    kind: Literal["finding"] = "finding"
    aspects: Annotated[tuple[Aspect, ...], Field(min_length=1)] = (
        Aspect.QUALITY,
        Aspect.PREDICTION_BIAS,
        Aspect.ESTIMATE,
        Aspect.DRIFT,
        Aspect.PREDICTION_DRIFT,
        Aspect.CONCEPT_DRIFT,
    )
    """What of; drift of inputs and quality are told apart by it."""
    windows: Annotated[int, Field(ge=1)] = 2
    """How many windows in a row: one may be an accident."""
    least_severity: Severity = Severity.WARNING
    """What counts."""


class UpstreamTrigger(Model):
    """A training is due when a model or a data set that this one was made of has another version."""

    kind: Literal["upstream"] = "upstream"
    sources: tuple[str, ...] = ()
    """Which of them, by name; by default all that the model's lineage knows."""


Trigger = Annotated[ScheduleTrigger | NewDataTrigger | FindingTrigger | UpstreamTrigger, Field(discriminator="kind")]


class RetrainingPolicy(Model):
    """What makes a retraining be proposed, and what holds it back."""

    triggers: Annotated[tuple[Trigger, ...], Field(min_length=1)]
    """Any of them is enough."""
    cooldown_seconds: Annotated[float, Field(ge=0)] = 86_400.0
    """How long after a retraining no other is proposed."""
    refused_cooldown_seconds: Annotated[float, Field(ge=0)] = 604_800.0
    """The same after one whose candidate was refused: the same data would make the same model."""
    most_in_period: Annotated[int, Field(ge=1)] = 4
    """How many may begin in a period."""
    period_seconds: Annotated[float, Field(gt=0)] = 2_592_000.0
    """How long a period is."""
    least_new_rows: Annotated[int, Field(ge=0)] = 1
    """Labelled rows that must be new, whatever the trigger: without any the same model would come out."""
    budget_usd: Annotated[float, Field(gt=0)] | None = None
    """What the retrainings of a period may cost; by default no limit is held."""
    data_parameter: Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_]*|data\.until)$")] | None = None
    """The parameter of the data set that a retraining sets to the day of the newest labelled row (`dataParameters` of the
    workload), or, where rows are ingested, `data.until`, to the end of that day: the commit that a proposal becomes is known
    then. By default whoever takes the proposal decides."""
    continues: bool = Field(default=False, exclude_if=is_empty)
    """Whether the training that is proposed continues from the version that serves (`training.continueFrom`); by default the
    config says it."""
    ensemble: bool = Field(default=False, exclude_if=is_empty)
    """Whether the model that is proposed answers together with the version that serves (`training.ensemble.model`); by default
    the config says it."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        asked = [name for name in ("continues", "ensemble") if getattr(self, name)]
        if len(asked) > 1:
            raise ValueError(
                "`continues` and `ensemble` exclude each other: a model goes on from the old one or answers beside it"
            )
        if asked and self.data_parameter is None:
            raise ValueError(
                f"`{asked[0]}` changes the config, and so it takes a `dataParameter`: what else the commit would change"
            )
        if self.cooldown_seconds * (self.most_in_period - 1) > self.period_seconds:
            raise ValueError(
                f"`mostInPeriod` of {self.most_in_period} is never reached: with a cool-down of {self.cooldown_seconds:g} s "
                f"they do not fit into {self.period_seconds:g} s"
            )
        return self
