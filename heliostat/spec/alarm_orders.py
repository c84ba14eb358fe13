"""What people say of a monitor's alarms, as the controller takes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from heliostat.spec.base import Model

Text = Annotated[str, Field(min_length=1)]


class AcknowledgeOrder(Model):
    """Somebody looks after an alarm."""

    alarm: Text
    """Its key, as `flights/quality/roc_auc`."""
    by: Text
    """Who says so, where no token of theirs does."""


class SilenceOrder(Model):
    """Nobody is to be told of some alarms for a while."""

    alarms: Text
    """A key, or a pattern of keys: `flights/quality/*`."""
    until: AwareDatetime
    why: Text
    by: Text


class UnsilenceOrder(Model):
    """A silence ends before its time."""

    alarms: Text
    """As it was silenced."""
    by: Text
