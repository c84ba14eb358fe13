"""A sample of a data set: of a snapshot that is there, or of what the workload's data function returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from heliostat.jobs.data_of import Know, Made, data_of
from heliostat.ml.datasets import Parts, Snapshot, Tables
from heliostat.ml.snapshots.parts import parts_of
from heliostat.ml.snapshots.sampling import sampled
from heliostat.spec.data_sets import DataSource, Parent
from heliostat.spec.jobs import SnapshotSpecification, WholeSnapshot
from heliostat.spec.snapshot_settings import sample_text


def rows_of(specification: SnapshotSpecification, tell: Callable[[str], None], know: Know = lambda *tables: None) -> Made:
    """What a snapshot is made of: all rows, or the sample that is asked for.

    Of a whole snapshot and of the function that made it a sample is the same: a row's number in its split decides.
    """
    share, whole = specification.sample, specification.whole
    if share is None:
        return data_of(specification, tell, know)
    if whole is not None:
        tell(f"taking {sample_text(share)} of the snapshot {whole.digest[:12]}")
        return Made(_of_snapshot(whole, share))
    made = data_of(specification, tell, know)
    return replace(made, data=_of_function(made.data, share))


def _of_snapshot(whole: WholeSnapshot, share: float) -> Parts:
    snapshot = Snapshot(whole.key, whole.store)
    manifest = snapshot.manifest()
    source = DataSource(uri=manifest["uri"], digest=whole.digest, rows=sum(manifest["rows"].values()), note=sample_text(share))
    return Parts(
        train=lambda: sampled(snapshot.batches("train"), share),
        validation=lambda: sampled(snapshot.batches("validation"), share),
        test=lambda: sampled(snapshot.batches("test"), share),
        label=manifest["label"],
        notes=[*manifest["notes"], sample_text(share)],
        sources=[source],
    )


def _of_function(data: Tables | Parts, share: float) -> Parts:
    notes: list[str] = []
    sources: list[DataSource] = []
    parents: list[Parent] = []

    def rows(split: str, source: Any) -> Iterator[pa.Table]:
        yield from sampled((part for _, part in parts_of(split, source)), share)
        # What makes parts may add to all of them until the last one is made.
        notes[:], sources[:], parents[:] = [*data.notes, sample_text(share)], data.sources, data.parents

    train, validation, test = (partial(rows, split, source) for split, source in data)
    return Parts(train, validation, test, label=data.label, notes=notes, sources=sources, parents=parents)
