"""A hash of text, for a whole column at once: the same text has the same in every process and on every machine."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_WORD: Final = 8
_ODD: Final = 0x9E3779B97F4A7C15
_BITS: Final = 0xFFFFFFFFFFFFFFFF
_MIX: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def hashes(column: pa.ChunkedArray | pa.Array) -> NDArray[np.uint64]:
    """64 bits of each text, spread evenly; null is as the empty text."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    column = column.cast(pa.large_string()).fill_null("")
    _, offsets_buffer, data_buffer = column.buffers()
    count = len(column)
    offsets = np.frombuffer(offsets_buffer, np.int64)[column.offset : column.offset + count + 1] if count else np.zeros(1, int)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    lengths = np.diff(offsets)
    found = np.zeros(count, dtype=np.uint64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        found[rows] = _of_length(data, offsets[:-1][rows], length)
    return found


def _of_length(data: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    """Of texts of one length: their words times odd numbers, added up and mixed."""
    words = -(-length // _WORD)
    padded = np.zeros((len(starts), max(1, words) * _WORD), dtype=np.uint8)
    if length:
        if len(starts) and int(starts[-1] - starts[0]) == length * (len(starts) - 1):  # they follow each other
            padded[:, :length] = data[starts[0] : starts[0] + length * len(starts)].reshape(-1, length)
        else:
            padded[:, :length] = data[starts[:, None] + np.arange(length)]
    total = np.full(len(starts), length, dtype=np.uint64)
    for place, column in enumerate(padded.view("<u8").T):
        total += _mixed(column ^ np.uint64(_ODD * (2 * place + 1) & _BITS))
    return _mixed(total)


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's last step."""
    value = (value ^ (value >> np.uint64(30))) * _MIX[0]
    value = (value ^ (value >> np.uint64(27))) * _MIX[1]
    return np.asarray(value ^ (value >> np.uint64(31)), dtype=np.uint64)


def partitions_of(column: pa.ChunkedArray | pa.Array, count: int) -> NDArray[np.uint16]:
    """The number of the partition of each text, of so many, a power of two up to 65,536."""
    bits = count.bit_length() - 1
    if not bits:
        return np.zeros(len(column), dtype=np.uint16)
    return np.asarray(hashes(column) >> np.uint64(64 - bits), dtype=np.uint16)
