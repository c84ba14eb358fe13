"""The digest of a data set's values, which is its snapshot's name: it never changes for values that are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.ml.snapshots.splits import Split
from heliostat.ml.tasks.base import is_list


def content_digest(label: str, splits: Mapping[str, Split]) -> str:
    """SHA-256 of the values themselves: the same on every machine and for every way of cutting or compressing them.

    Column after column, each read once, twice where it is text, and once more where values are missing.
    """
    digest = hashlib.sha256(f"label {label}\n".encode())
    for name, split in splits.items():
        digest.update(f"split {name} {split.rows}\n".encode())
        for field in split.schema:
            _hash_column(digest, field, split)
    return digest.hexdigest()


def _hash_column(digest: hashlib._Hash, field: pa.Field, split: Split) -> None:
    name, missing = field.name, split.null_count(field.name)
    digest.update(f"column {name} {field.type} {missing}\n".encode())
    if missing:
        for piece in split.column(name):
            digest.update(pc.is_valid(piece).to_numpy().astype("u1").tobytes())
    if is_list(field.type):
        for piece in split.column(name):
            digest.update(pc.fill_null(pc.list_value_length(piece), 0).to_numpy().astype("<i8").tobytes())
        _hash_column(digest, pa.field(f"{name}[]", field.type.value_type), _Flattened(split, name))
        return
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        for piece in split.column(name):
            digest.update(pc.fill_null(pc.binary_length(piece), 0).to_numpy().astype("<i8").tobytes())
        for piece in split.column(name):
            for chunk in piece.chunks:
                digest.update(_text(chunk))
        return
    for piece in split.column(name):
        digest.update(_values(piece))


@dataclass(frozen=True)
class _Flattened:
    """The values in the lists of one column of a split, as a column of their own, whatever it is called."""

    split: Split
    of: str

    @property
    def schema(self) -> pa.Schema:
        return self.split.schema

    @property
    def rows(self) -> int:
        return sum(len(piece) for piece in self.column(""))

    def null_count(self, name: str) -> int:
        return sum(piece.null_count for piece in self.column(name))

    def column(self, name: str) -> Iterator[pa.ChunkedArray]:
        for piece in self.split.column(self.of):
            yield pc.list_flatten(piece)


def _text(chunk: pa.Array) -> memoryview:
    """The bytes of texts, one after another."""
    present = chunk.drop_null().cast(pa.large_string())
    _, offsets, data = present.buffers()
    if not len(present) or data is None:
        return memoryview(b"")
    first, last = np.frombuffer(offsets, np.int64)[[present.offset, present.offset + len(present)]]
    return memoryview(data)[first:last]


def _values(piece: pa.ChunkedArray) -> bytes:
    """The bytes of numbers, booleans and times; a missing one is 0."""
    if pa.types.is_boolean(piece.type):
        piece = piece.cast(pa.uint8())
    elif pa.types.is_temporal(piece.type):
        piece = piece.cast(pa.int64() if piece.type.bit_width == 64 else pa.int32())
    array = (pc.fill_null(piece, 0) if piece.null_count else piece).to_numpy()
    return bytes(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
