"""Tables as Arrow files that tell damage: pyarrow trusts what it reads, and one wrong byte can end the whole process.

A mark with the digest of all the rest stands between the last batch and the footer. Batches are found from the front by their
offsets and the footer from the end, so that every reader of Arrow files, also one of an older release, reads past it.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import Final

import pyarrow as pa

_MARK: Final = b"\nheliostat-sha256:"
_FOUND: Final = re.compile(re.escape(_MARK) + rb"([0-9a-f]{64})\n")
_TAIL: Final = struct.Struct("<i6s")
"""The footer's length in bytes, and the format's magic."""


class DamagedFileError(ValueError):
    """Bytes that are not what was written."""


def to_file(table: pa.Table) -> bytes:
    """A table as an Arrow file, compressed, with its digest in it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    footer, _ = _TAIL.unpack(content[-_TAIL.size :])
    place = len(content) - _TAIL.size - footer
    mark = _MARK + hashlib.sha256(content).hexdigest().encode() + b"\n"
    return bytes(content[:place] + mark + content[place:])


def from_file(content: bytes) -> pa.Table:
    """The table that `to_file` wrote, or an older release, whose files have no digest.

    Raises:
        DamagedFileError: it is no Arrow file, or its digest is another one, and then pyarrow has seen none of it.
    """
    marks = list(_FOUND.finditer(content))
    if marks:
        start, end = marks[-1].span()
        if hashlib.sha256(content[:start] + content[end:]).hexdigest().encode() != marks[-1][1]:
            raise DamagedFileError(f"{len(content)} bytes are not those that were written: their digest is another one")
    try:
        return pa.ipc.open_file(pa.BufferReader(content)).read_all()
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(f"{len(content)} bytes are no Arrow file ({' '.join(str(error).split())[:200]})") from None
