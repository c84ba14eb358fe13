"""A workload's code at a site: that of the stack and no other, as far as it can be loaded here."""

from __future__ import annotations

from pathlib import Path

from heliostat.federated.messages import Reason, TrainingNote
from heliostat.layout import SourcesError, sources
from heliostat.ml.contracts import load_entry_point
from heliostat.ml.federated import Federation
from heliostat.spec.code import CodeError, code_of


class AbstainError(Exception):
    """This site takes no part in the attempt."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


def require(root: Path, note: TrainingNote) -> None:
    """See that a checkout has the code that the stack declares: nothing else is run here.

    Raises:
        AbstainError: it has another one, or none.
    """
    try:
        here = code_of(root, note.entry_point, sources=sources(root)).digest
    except (CodeError, SourcesError) as error:
        raise AbstainError(Reason.CODE, str(error)) from None
    if here != note.code_digest:
        raise AbstainError(
            Reason.CODE,
            f"the code of {note.entry_point} here is {here[:12]}, and {note.code_digest[:12]} is declared: bring {root} to "
            "the stack's commit and start the site again",
        )


def load(note: TrainingNote) -> Federation:
    """What fits on the site's rows.

    Raises:
        AbstainError: it cannot be loaded, as where a package that it imports is not here.
    """
    try:
        return load_entry_point(note.entry_point)  # type: ignore[no-any-return]
    except Exception as error:  # whatever importing a workload's module raises
        why = f"{note.entry_point} cannot be loaded here: {type(error).__name__}: {error}"
        raise AbstainError(Reason.FIT, why) from error
