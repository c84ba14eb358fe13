"""Takes a person's rows out of what ingestions keep: parts of rows that were read, and examples of rows that were refused.

A part is named by its content, so another one has its place: it is put first, then it is said so, and the old one goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from heliostat.governance import objects
from heliostat.governance.objects import Cleaned
from heliostat.governance.subjects import Subject
from heliostat.spec import ingested
from heliostat.spec.data_sets import prefix_of
from heliostat.spec.erasure import ErasedObject
from heliostat.spec.ingested import ErasedPart
from heliostat.systems.objects import ObjectStore, contents

PARTS: Final = "parts of ingested rows"
REFUSED: Final = "reports of refused data"
MADE: Final = "records of how data sets were made"
_GONE: Final = "what it said named a person whose rows were deleted"


def parts_of(store: ObjectStore, name: str) -> Iterator[tuple[str, bytes]]:
    """The parts of a data set's ingested rows: keys and contents."""
    return contents(store, f"{ingested.top(name)}parts/")


def put_successor(store: ObjectStore, name: str, key: str, content: bytes, subject: Subject) -> ErasedObject | None:
    """Put a part without the person's rows beside one that has some; None where it has none."""
    cleaned = objects.rows(content, subject)
    if cleaned is None or cleaned.content is None:
        return None
    after = objects.sha256(cleaned.content)
    successor = ingested.part_key(name, after)
    store.put(successor, cleaned.content)
    return ErasedObject(key=key, rows=cleaned.rows, before=objects.sha256(content), after=after, successor=successor)


def retire(store: ObjectStore, name: str, erased: ErasedObject, rows: int, erasure: str) -> None:
    """Say which part has the place of one that had rows of the person, then delete that."""
    place = ingested.place(erased.key)
    if place is None or erased.after is None:
        raise ValueError(f"{erased.key} is no part with a successor")
    told = ErasedPart(erasure=erasure, successor=erased.after, rows=rows)
    store.put(ingested.erased_key(name, place[2]), told.model_dump_json(indent=2).encode())
    store.delete(erased.key)


def records_of(store: ObjectStore, name: str) -> Iterator[tuple[str, str, bytes]]:
    """What has examples of rows: what each is, its key and its content."""
    for kind, below in ((REFUSED, "refused/"), (MADE, "made/")):
        for key, content in contents(store, f"{prefix_of(name)}{below}"):
            yield kind, key, content


def without_examples(content: bytes, subject: Subject) -> Cleaned | None:
    """A record without the person's rows, and without texts that name them; None where it has none."""
    try:
        record = json.loads(content)
    except ValueError:
        return None
    removed = sum(_take_out(each, subject) for each in _findings(record))
    if not removed:
        return None
    return Cleaned((json.dumps(record, indent=2, sort_keys=True) + "\n").encode(), removed)


def rows_left(store: ObjectStore, name: str, subject: Subject) -> int:
    """How many of the person's rows a data set's parts and records have."""
    found = [objects.rows(content, subject) for _, content in parts_of(store, name)]
    found += [without_examples(content, subject) for _, _, content in records_of(store, name)]
    return sum(each.rows for each in found if each is not None)


def _findings(record: Any) -> Iterator[dict[str, Any]]:
    """The findings and leaks of a record, to be changed."""
    if not isinstance(record, dict):
        return
    made = record.get("made")
    for holder in (record, made if isinstance(made, dict) else {}):
        for kind in ("findings", "leaks", "stoppingNothing"):
            yield from (each for each in holder.get(kind) or () if isinstance(each, dict))


def _take_out(finding: dict[str, Any], subject: Subject) -> int:
    """How many rows were taken out of it; one where its text alone named the person."""
    examples = finding.get("examples", [])
    kept = [row for row in examples if not subject.is_in(row.get(subject.field))]
    if "examples" in finding:
        finding["examples"] = kept
    columns = (finding.get("column"), *finding.get("columns", ()))
    named = subject.field in columns and any(
        repr(str(value)) in str(finding.get("text")) or value == finding.get("value") for value in subject.values
    )
    if named:
        finding["text"] = f"{subject.field}: {_GONE}"
        finding["value"] = None
    return len(examples) - len(kept) or int(named)


def notes(name: str, subject: Subject, keyless: int, erased: Sequence[ErasedObject]) -> Iterator[str]:
    """What cannot be searched or removed, and what to do about it."""
    if keyless:
        yield (
            f"{keyless} parts of rows ingested for {name} have no column {subject.field}: whose they are is not known; have "
            "the source give it"
        )
    if any(each.key.startswith(ingested.top(name)) for each in erased):
        yield (
            f"the sources of {name} may still have the rows: what changes there is read again, so take them out there as well"
        )
