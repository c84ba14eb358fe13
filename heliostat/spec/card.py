"""The reviewed part of a workload's cards: `card.yaml` in its folder, which people write and nothing else does."""

from __future__ import annotations

import datetime as dt
from typing import Final

from pydantic import Field

from heliostat.spec.base import Model

FILE: Final = "card.yaml"
MODEL_SECTIONS: Final = ("Intended use", "Out of scope", "Limits and risks", "Who is affected")
DATA_SECTIONS: Final = ("Where it comes from", "Personal data and consent", "Known biases", "Upkeep")


class CardReview(Model):
    """What people say of a model and of its data, and who read it."""

    by: str = ""
    """Who reviewed it; empty: nobody has."""
    on: dt.date | None = None
    """When."""
    of: int | None = None
    """The model version that they looked at."""
    license: str = ""
    """Of the model, as SPDX names it."""
    model: dict[str, str] = Field(default_factory=lambda: dict.fromkeys(MODEL_SECTIONS, ""))
    """Sections of the model card, in Markdown."""
    data: dict[str, str] = Field(default_factory=lambda: dict.fromkeys(DATA_SECTIONS, ""))
    """Sections of the data card."""

    @property
    def unwritten(self) -> list[str]:
        """The sections that nobody has written."""
        return [title for title, text in (*self.model.items(), *self.data.items()) if not text.strip()]
