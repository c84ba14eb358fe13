"""Why a coordinator does not take what a site sent: a status of HTTP, and each mistake with its path."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from heliostat.federated import shamir
from heliostat.federated.contributions import Contribution, Layout, Vector
from heliostat.federated.messages import (
    BODIES,
    ArraySpec,
    FrameError,
    Keys,
    MaskedUpdate,
    Revealed,
    Shares,
    Step,
    Update,
    read_arrays,
    unpack,
)
from heliostat.spec.base import Model

WORD_BYTES: Final = 16
"""Of one masked number."""


class RefusedError(Exception):
    """A message that is not taken."""

    def __init__(self, status: int, *mistakes: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in mistakes))
        self.status, self.mistakes = status, mistakes


def vector_of(update: Update, payload: bytes, layout: Layout) -> Vector:
    """The vector of an update that came as it is.

    Raises:
        FrameError: it does not fit the layout, with every mistake.
    """
    unlike = [
        (f"arrays.{name}", f"its type is {spec.dtype}, and float64 is asked for")
        for name, spec in update.arrays.items()
        if spec.dtype != ArraySpec(shape=()).dtype
    ]
    if unlike:
        raise FrameError(*unlike)
    arrays = read_arrays(update.arrays, payload)
    contribution = Contribution(arrays, update.weight, update.rows, update.metrics)
    if mistakes := [_split(text) for text in layout.mistakes(contribution)]:
        raise FrameError(*mistakes)
    return layout.vector(contribution)


def require_right(
    step: Step, body: bytes, layout: Layout, max_norm: float, members: Collection[str], asked: Collection[str]
) -> None:
    """See that what a site sent can be used.

    Args:
        step: What it answers.
        body: What came.
        layout: Of the round's vectors.
        max_norm: The L2 norm that an update may have.
        members: For whom it has to have split its secrets.
        asked: Whose secrets it has to tell its part of.

    Raises:
        RefusedError: with every mistake.
    """
    try:
        header, payload = unpack(BODIES[step], body)
        mistakes = list(_mistakes(header, payload, layout, max_norm, members, asked))
    except FrameError as error:
        mistakes = list(error.mistakes)
    if mistakes:
        raise RefusedError(422, *((f"{step}.{path}", text) for path, text in mistakes))


def _mistakes(
    header: Model, payload: bytes, layout: Layout, max_norm: float, members: Collection[str], asked: Collection[str]
) -> Iterable[tuple[str, str]]:
    match header:
        case Update():
            yield from map(_split, layout.faults(vector_of(header, payload, layout), max_norm))
        case MaskedUpdate() if len(payload) != WORD_BYTES * layout.size:
            yield "vector", f"it has {len(payload)} bytes, and {WORD_BYTES * layout.size} are asked for"
        case Keys():
            yield from _weak(header)
        case Shares():
            yield from _others("boxes", header.boxes, members, 2 * shamir.SHARE_BYTES + 16)
        case Revealed():
            yield from _others("parts", header.parts, asked, shamir.SHARE_BYTES)


def _weak(keys: Keys) -> Iterable[tuple[str, str]]:
    """Keys with which every secret would be zero."""
    for name, text in (("cipher", keys.cipher), ("mask", keys.mask)):
        try:
            X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(text)))
        except ValueError:
            yield name, "it is no key of X25519 that keeps a secret"


def _others(path: str, given: Mapping[str, str], wanted: Collection[str], size: int) -> Iterable[tuple[str, str]]:
    for name in sorted({*wanted} ^ given.keys()):
        yield f"{path}.{name}", "it is missing" if name in wanted else "nobody asks for it"
    for name, text in given.items():
        if len(text) != 2 * size:
            yield f"{path}.{name}", f"it has {len(text) // 2} bytes, and {size} are asked for"


def _split(text: str) -> tuple[str, str]:
    path, _, what = text.partition(": ")
    return path, what


def words_of(body: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """The masked vector of a message that was found right."""
    _, payload = unpack(MaskedUpdate, body)
    return np.frombuffer(payload, "<u8").astype(np.uint64).reshape(-1, 2)
