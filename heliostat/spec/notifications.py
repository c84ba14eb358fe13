"""Where alarms are sent. A sink names where its secret is and never holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from heliostat.spec.addresses import BasicVariables, HttpUrl, KubernetesSecret, SharedToken, TokenFile, TokenVariable
from heliostat.spec.base import Model, Name
from heliostat.spec.findings import Severity
from heliostat.spec.mistakes import beside

MailAddress = Annotated[str, Field(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$", max_length=254)]
"""`name@example.org`, without a display name."""


class SinkBase(Model):
    """What every sink says."""

    name: Name
    """What deliveries to it are known by; another name is another sink, which has been told nothing yet."""
    least_severity: Severity = Severity.WARNING
    """What it is told of: alarms of this severity, and of worse ones."""
    only_escalated: bool = False
    """Whether it is told only of alarms that nobody acknowledged in time."""


class Webhook(SinkBase):
    """A POST of JSON: an `id`, which a receiver that gets it twice knows it by, the `event` and the `alarm`."""

    kind: Literal["webhook"] = "webhook"
    url: HttpUrl
    """Where it is posted to."""
    credential: SharedToken | None = None
    """A bearer token to send along."""


class Slack(SinkBase):
    """A POST of JSON as Slack's incoming webhooks take it, and Mattermost's and Rocket.Chat's."""

    kind: Literal["slack"] = "slack"
    url: Annotated[TokenFile | TokenVariable | KubernetesSecret, Field(discriminator="kind")]
    """Where the webhook's URL is: whoever knows it may post."""

    @model_validator(mode="wrap")
    @classmethod
    def _hides_a_url(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """A URL that was written here all the same is not shown with the mistake."""
        if not isinstance(given, Mapping) or not isinstance(given.get("url"), str):
            return handler(given)
        text = "is a secret: put it into a variable, and name that as `{kind: environment, variable: NAME}`"
        mistake = InitErrorDetails(type=PydanticCustomError("secret", text), loc=("url",), input={})
        return beside({**given, "url": TokenVariable(variable="URL")}, handler, mistake)


class Email(SinkBase):
    """A mail through an SMTP server."""

    kind: Literal["email"] = "email"
    host: Annotated[str, Field(min_length=1)]
    """The server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Its port: 587 with STARTTLS, 465 with TLS from the start."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` sends in clear, and is for a server on the same machine."""
    credential: BasicVariables | None = None
    """The account; by default the server asks for none."""
    sender: MailAddress
    """Whom mails are from."""
    to: Annotated[tuple[MailAddress, ...], Field(min_length=1)]
    """Whom they go to."""


Sink = Annotated[Webhook | Slack | Email, Field(discriminator="kind")]


class AlarmPolicy(Model):
    """When findings become alarms, and who is told how often."""

    breaches: Annotated[int, Field(ge=1)] = 1
    """How many looks in a row must find a breach before the alarm fires."""
    passes: Annotated[int, Field(ge=1)] = 1
    """How many looks in a row must find none before it is resolved."""
    repeat_seconds: Annotated[float, Field(ge=0)] = 86_400.0
    """How often an alarm that nobody acknowledged is told again; 0 is never."""
    escalate_seconds: Annotated[float, Field(gt=0)] | None = None
    """How long an alarm may wait for an acknowledgement before it is told as critical, and to sinks with `onlyEscalated`;
    by default for ever."""

    @field_validator("repeat_seconds", mode="before")
    @classmethod
    def _never(cls, given: Any) -> Any:
        return 0.0 if given is None else given
