"""What is new in the source that a workload's rows are ingested from. Pure."""

from __future__ import annotations

from pydantic import Field

from heliostat.spec.base import Model, is_empty, is_none


class NewRows(Model):
    """Rows that a version was not trained on, counted without reading them; or why they could not be."""

    place: str
    """The source, for people."""
    rows: int | None = Field(default=None, exclude_if=is_none)
    """How many labelled rows there are; None where it is not known."""
    about: bool = Field(default=False, exclude_if=is_empty)
    """Whether they are told from the size of files."""
    problem: str = Field(default="", exclude_if=is_empty)
    """Why it is not known."""

    @property
    def text(self) -> str:
        """In a clause; in a sentence where it is not known."""
        if self.rows is None:
            return f"what is new in {self.place} is not known: {self.problem}"
        return f"{'about ' if self.about else ''}{self.rows:,} rows of {self.place} are new"
