"""Property values as a checkpoint holds them: secrets as ciphertexts, what JSON has no number for by its bits."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

from heliostat.engine.stackerrors import StackError
from heliostat.engine.state.marked import held
from heliostat.engine.state.snapshot import SECRET_SIGNATURE, SECRET_SIGNATURE_KEY, Secret

_FLOAT_SIGNATURE = "8ad145fe-0d11-4827-bfd7-1abcbf086f5c"

Reveal = Callable[[str, str], str]
"""Decrypts a ciphertext that stands at a place."""
Hide = Callable[[str, str], dict[str, str]]
"""Makes of a text at a place what a checkpoint holds: its ciphertext, mostly."""


def decode_properties(properties: dict[str, Any], reveal: Reveal, place: str) -> dict[str, Any]:
    """Plain values and `Secret`s from a checkpoint's property bag."""
    return {name: decode_value(value, reveal, f"{place}.{name}") for name, value in properties.items()}


def decode_value(value: Any, reveal: Reveal, place: str) -> Any:
    """A plain value or a `Secret` from what a checkpoint holds at `place`; raises StackError for a secret that is none."""
    if isinstance(value, list):
        return [decode_value(item, reveal, f"{place}[{number}]") for number, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    signature = value.get(SECRET_SIGNATURE_KEY)
    if signature == SECRET_SIGNATURE:
        return _decode_secret(value, reveal, place)
    if signature == _FLOAT_SIGNATURE:
        return struct.unpack(">d", bytes.fromhex(value["value"]))[0]
    decoded = {name: decode_value(item, reveal, f"{place}.{name}") for name, item in value.items()}
    return held(decoded) if signature else decoded


def _decode_secret(value: dict[str, Any], reveal: Reveal, place: str) -> Secret:
    if ("ciphertext" in value) == ("plaintext" in value):
        raise StackError(f"the secret at {place} is malformed: it needs `ciphertext` or `plaintext`, and only one of them")
    text = value["plaintext"] if "plaintext" in value else reveal(value["ciphertext"], place)
    # inside a secret nothing is encrypted again
    return Secret(decode_value(json.loads(text), lambda inner, _: inner, place))


def in_clear(text: str, _: str) -> dict[str, str]:
    """Shows a secret, for `--show-secrets`."""
    return {"plaintext": text}


def _nested(text: str, _: str) -> dict[str, str]:
    return {"ciphertext": text}


def compact(value: Any) -> str:
    """JSON without a space too many."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def encode_value(value: Any, hide: Hide, place: str) -> Any:
    """A property value as the checkpoint holds it; whole floats become integers, as the CLI's JSON has them."""
    if isinstance(value, Secret):
        plain = compact(encode_value(value.value, _nested, place))
        return {SECRET_SIGNATURE_KEY: SECRET_SIGNATURE, **hide(plain, place)}
    if isinstance(value, dict):
        return {name: encode_value(item, hide, f"{place}.{name}") for name, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [encode_value(item, hide, f"{place}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            return {SECRET_SIGNATURE_KEY: _FLOAT_SIGNATURE, "value": struct.pack(">d", value).hex()}
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value
