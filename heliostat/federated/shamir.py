"""Shamir's secret sharing of 32 bytes: any `threshold` parts give the secret back, fewer say nothing of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

_PRIME: Final = 2**521 - 1
_SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 66
"""Of one part."""


def split(secret: bytes, threshold: int, parts: int) -> list[bytes]:
    """Split a secret of 32 bytes; the part at place i belongs to the number i + 1.

    Raises:
        ValueError: the threshold cannot be reached.
    """
    if not 1 <= threshold <= parts:
        raise ValueError(f"{threshold} of {parts} parts cannot be asked for")
    coefficients = [int.from_bytes(secret, "big"), *(secrets.randbelow(_PRIME) for _ in range(threshold - 1))]
    return [_value(coefficients, number).to_bytes(SHARE_BYTES, "big") for number in range(1, parts + 1)]


def joined(parts: Mapping[int, bytes]) -> bytes:
    """The secret that parts by their numbers give; as many as the threshold at least.

    Raises:
        ValueError: they give none.
    """
    secret = 0
    for number, part in parts.items():
        numerator, denominator = 1, 1
        for other in parts.keys() - {number}:
            numerator = numerator * -other % _PRIME
            denominator = denominator * (number - other) % _PRIME
        secret += int.from_bytes(part, "big") * numerator * pow(denominator, -1, _PRIME)
    try:
        return (secret % _PRIME).to_bytes(_SECRET_BYTES, "big")
    except OverflowError:
        raise ValueError("the parts do not belong to one secret") from None


def _value(coefficients: list[int], at: int) -> int:
    found = 0
    for coefficient in reversed(coefficients):
        found = (found * at + coefficient) % _PRIME
    return found
