"""What a data set was read from as people read it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from heliostat.spec.data_sets import DataSource

_MOST: Final = 5
"""Files of a folder that have a line each; of more there is one for all."""


def told(sources: Iterable[DataSource]) -> Iterator[str]:
    """A line for each source, and one for all files of a folder where these are many. `--json` names each."""
    for (folder, note), each in groupby(sources, lambda source: (source.uri.rpartition("/")[0], source.note)):
        files = list(each)
        if not folder or len(files) <= _MOST:
            yield from (_line(source.uri, source.rows, source.note) for source in files)
            continue
        known = [source.rows for source in files if source.rows is not None]
        names = [source.uri.rpartition("/")[2] for source in files]
        span = f"{folder}/ {len(files):,} files, {names[0]} to {names[-1]},"
        yield _line(span, sum(known) if len(known) == len(files) else None, note)


def _line(uri: str, rows: int | None, note: str) -> str:
    return " ".join(filter(None, (uri, f"{rows:,} rows" if rows is not None else "", note))).removesuffix(",")
