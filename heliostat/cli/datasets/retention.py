"""Which snapshots are kept and which nobody needs: the decision, pure, and the deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from heliostat.cli.datasets import ingested_rows
from heliostat.cli.datasets.catalogue import Catalogue, Leftover, Stored
from heliostat.cli.datasets.ingested_rows import IngestedRows, Rows
from heliostat.cli.datasets.lineage import Lineage, in_words
from heliostat.spec.data_sets import prefix_of
from heliostat.systems.objects import ObjectStore


@dataclass(frozen=True)
class Verdict:
    """What becomes of a snapshot, or of what was left of one."""

    subject: Stored | Leftover | Rows
    keep: bool
    reason: str

    @property
    def what(self) -> str:
        """As people read it."""
        return self.subject.reference if isinstance(self.subject, Stored) else f"{self.subject.name}: {self.subject.what}"


@dataclass(frozen=True)
class Rules:
    """How long what nobody uses stays."""

    seconds: float
    """Younger ones stay: a training may be about to begin."""
    newest: int = 1
    """So many of each data set stay, whoever uses them."""


def judged(
    catalogue: Catalogue, lineage: Lineage, rules: Rules, now: float, rows: Sequence[IngestedRows] = ()
) -> tuple[Verdict, ...]:
    """What stays, and why, and what goes. What serves or served, was trained or judged on, what a stack's state names, and
    what another data set was made of, stays; of ingested rows what such data was made of, and what a stack reads on from."""
    verdicts = [*_snapshots(catalogue, lineage, rules, now)]
    for leftover in catalogue.leftovers:
        young = now - leftover.modified < rules.seconds
        reason = "is young: a job may be writing it" if young else "is old, and no snapshot"
        verdicts.append(Verdict(leftover, young, reason))
    kept = [each.subject for each in verdicts if each.keep and isinstance(each.subject, Stored)]
    for each in rows:
        for stays, objects in ingested_rows.fates(each, kept, lineage.sources, now - rules.seconds):
            why = "data that is kept was made of them, a stack reads on from them, or they are young"
            verdicts.append(Verdict(objects, stays, why if stays else "no source and no data that is kept names them"))
    return tuple(verdicts)


def _snapshots(catalogue: Catalogue, lineage: Lineage, rules: Rules, now: float) -> Iterator[Verdict]:
    before: dict[str, int] = {}
    for each in catalogue.snapshots:
        place = before[each.name] = before.get(each.name, 0) + 1
        uses = lineage.of(each.digest)
        if each.manifest.erased is not None:
            yield Verdict(each, True, "proves that a person's rows were deleted")
        elif uses:
            yield Verdict(each, True, in_words(uses) or "was evaluated on")
        elif now - max(each.made_at, each.modified) < rules.seconds:
            yield Verdict(each, True, "is young")
        elif place <= rules.newest:
            yield Verdict(each, True, f"is among the {rules.newest} newest" if rules.newest > 1 else "is the newest")
        else:
            yield Verdict(each, False, "nothing uses it")


def still(going: Sequence[Verdict], again: Sequence[Verdict]) -> list[Verdict]:
    """What goes by an earlier judgement, and by a later one too; the same objects."""
    gone = {(each.what, each.subject.keys) for each in again if not each.keep}
    return [each for each in going if (each.what, each.subject.keys) in gone]


def prune(store: ObjectStore, verdicts: Sequence[Verdict], tell: Callable[[str], None]) -> None:
    """Delete what does not stay. The manifest goes first: without it there is no snapshot, and what a kill leaves goes the
    next time. How a snapshot was made stays."""
    for verdict in verdicts:
        if verdict.keep:
            continue
        subject = verdict.subject
        if isinstance(subject, Stored):
            store.delete(f"{prefix_of(subject.name, subject.digest)}manifest.json")
        for key in subject.keys:
            store.delete(key)
        tell(verdict.what)
