"""The header of a file in a tar, byte for byte as Go's archive/tar writes it for a name and a size alone; pure.

A digest of the CLI is one of such a tar. Python's own tarfile leaves empty what Go fills with zeros.
"""

from __future__ import annotations

import posixpath
import struct

BLOCK = 512
_NAME_BYTES, _PREFIX_BYTES = 100, 155
_OCTAL_SIZES = 8**11
"""From this on, a size does not fit into its field."""
_MODE = 0o600
_LAYOUT = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x")


def tar_header(name: bytes, size: int) -> bytes:
    """What precedes the content of the file `name`; with one block, or with an extended header before it.

    Raises ValueError where a tar can have no such file.
    """
    folder = name.endswith(b"/")
    if b"\0" in name or (folder and size):
        raise ValueError(f"{name!r} is no name of a file: it holds a zero byte, or ends in a slash")
    kind = b"5" if folder else b"0"
    long = len(name) > _NAME_BYTES or not name.isascii()
    split = _split(name) if long else (b"", name)
    if split and size < _OCTAL_SIZES:
        return _block(split[1], size, kind, prefix=split[0])
    records = _record("path", name) if long else b""
    records += _record("size", str(size).encode()) if size >= _OCTAL_SIZES else b""
    above, slash, own = name.rpartition(b"/")
    extended = _ascii(clean(above + slash + b"PaxHeaders.0/" + own))
    described = _block(extended[:_NAME_BYTES].rstrip(b"/"), len(records), b"x", mode=0, devices=b"")
    padding = bytes(-len(records) % BLOCK)
    return described + records + padding + _block(_ascii(name), size if size < _OCTAL_SIZES else 0, kind)


def clean(path: bytes) -> bytes:
    """The shortest name of the same path."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith(b"//") else cleaned


def _block(
    name: bytes, size: int, kind: bytes, *, mode: int = _MODE, prefix: bytes = b"", devices: bytes = b"0000000\0"
) -> bytes:
    fields = [
        _text(name, _NAME_BYTES),
        *(_octal(number, 8) for number in (mode, 0, 0)),
        *(_octal(number, 12) for number in (size, 0)),
        b" " * 8,
        kind,
        b"",
        b"ustar\0",
        b"00",
        b"",
        b"",
        devices,
        devices,
        _text(prefix, _PREFIX_BYTES),
    ]
    fields[6] = b"%06o\0 " % sum(_LAYOUT.pack(*fields))
    return _LAYOUT.pack(*fields)


def _octal(number: int, room: int) -> bytes:
    return b"%0*o\0" % (room - 1, number)


def _text(text: bytes, room: int) -> bytes:
    """As much of it as there is room for, without the slashes that then are its end."""
    cut = text[:room]
    if len(text) > room and cut.endswith(b"/"):
        kept = len(cut.rstrip(b"/"))
        return cut[:kept] + b"\0" + cut[kept + 1 :]
    return cut


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """A long name as prefix and rest, which have fields of their own; None where it cannot be."""
    if len(name) <= _NAME_BYTES or not name.isascii():
        return None
    place = name[: min(_PREFIX_BYTES + 1, len(name) - name.endswith(b"/"))].rfind(b"/")
    rest = len(name) - place - 1
    return (name[:place], name[place + 1 :]) if place > 0 and 0 < rest <= _NAME_BYTES else None


def _ascii(name: bytes) -> bytes:
    return bytes(byte for byte in name if byte < 0x80)


def _record(key: str, value: bytes) -> bytes:
    """A record of an extended header, which begins with its own length."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    if len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest
