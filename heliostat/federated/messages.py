"""What a coordinator and its sites say to each other: a line of JSON, and numbers behind it as they lie in memory.

Numbers are little-endian: arrays one after another in the order of the header, or a masked vector. Nothing is pickled, nothing
decompressed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, ValidationError

from heliostat.federated.contributions import Arrays
from heliostat.spec.base import Digest, EntryPoint, Model, Name, Parameters
from heliostat.spec.federated import DeliveredPackage, FederatedRules

M = TypeVar("M", bound=Model)

Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})*$", max_length=1024)]
Shape = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=16)]
MOST_HEADER_BYTES: Final = 1 << 20


class FrameError(ValueError):
    """Bytes that are no message; `mistakes` has each with its path."""

    def __init__(self, *mistakes: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in mistakes))
        self.mistakes = mistakes


class Step(StrEnum):
    """What a site is asked for, in the order of a round; masked rounds have all but the first."""

    FIT = "fit"
    KEYS = "keys"
    SHARES = "shares"
    MASKED = "masked"
    REVEAL = "reveal"


MASKED_STEPS: Final = (Step.KEYS, Step.SHARES, Step.MASKED, Step.REVEAL)


class Reason(StrEnum):
    """Why a site takes no part in an attempt. No text of its own travels: it might tell of rows."""

    ROWS = "its rows cannot be read"
    CODE = "its checkout has other code"
    FIT = "its fit failed"
    REFUSED = "its update was refused"
    RESTARTED = "it was started again in the middle of the round"


class ArraySpec(Model):
    """An array behind a header."""

    shape: Shape
    dtype: Literal["float64", "float32"] = "float64"


class Keys(Model):
    """A site's public keys of one attempt."""

    cipher: Annotated[Hex, StringConstraints(min_length=64, max_length=64)]
    mask: Annotated[Hex, StringConstraints(min_length=64, max_length=64)]


class TrainingNote(Model):
    """What the sites need to know of a training."""

    name: Name
    digest: Digest
    entry_point: EntryPoint
    code_digest: Digest
    parameters: Parameters
    rules: FederatedRules


class Task(Model):
    """What a site is to do now; the parameters lie behind it where it is to fit."""

    version: str
    """Of the coordinator's state; a site that has done its part asks for a newer one."""
    text: str = ""
    """How far it is, for people."""
    step: Step | None = None
    """None where there is nothing to do."""
    training: TrainingNote | None = None
    round: int = 0
    attempt: int = 0
    arrays: dict[str, ArraySpec] = {}
    members: dict[Name, Keys] = {}
    """Who splits secrets in this attempt."""
    masking: tuple[Name, ...] = ()
    """Who shares masks in this attempt."""
    boxes: dict[Name, Hex] = {}
    """What each of the others split for this site."""
    summed: tuple[Name, ...] = ()
    left: tuple[Name, ...] = ()
    threshold: int = 0
    package: DeliveredPackage | None = None


class Update(Model):
    """A site's part of a round, as it is: its arrays lie behind it."""

    rows: Annotated[int, Field(ge=1)]
    data_digest: Digest
    """Of the site's rows, keyed by the site: it tells that they changed, and nothing else."""
    weight: float
    arrays: dict[str, ArraySpec]
    metrics: dict[str, float]


class MaskedUpdate(Model):
    """The same, masked: its vector lies behind it."""

    rows: Annotated[int, Field(ge=1)]
    data_digest: Digest


class Shares(Model):
    """What a site split for each member."""

    boxes: dict[Name, Hex]


class Revealed(Model):
    """A site's parts of the secrets that are asked for."""

    parts: dict[Name, Hex]


class Abstention(Model):
    """That a site takes no part in an attempt."""

    reason: Reason


BODIES: Final[Mapping[Step, type[Model]]] = {
    Step.FIT: Update,
    Step.KEYS: Keys,
    Step.SHARES: Shares,
    Step.MASKED: MaskedUpdate,
    Step.REVEAL: Revealed,
}


def pack(header: Model, payload: bytes = b"") -> bytes:
    """Write a message."""
    return header.model_dump_json(by_alias=True).encode() + b"\n" + payload


def unpack(kind: type[M], body: bytes) -> tuple[M, bytes]:
    """Read a message.

    Raises:
        FrameError: it is none; with every mistake and its path.
    """
    line, _, payload = body.partition(b"\n")
    try:
        return kind.model_validate_json(line), payload
    except ValidationError as error:
        raise FrameError(*((_path(each["loc"]), each["msg"]) for each in error.errors())) from None


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "header"


def specs_of(arrays: Arrays) -> dict[str, ArraySpec]:
    """How arrays are described in a header."""
    return {
        name: ArraySpec(shape=np.shape(array), dtype="float32" if np.asarray(array).dtype == np.float32 else "float64")
        for name, array in arrays.items()
    }


def packed_arrays(arrays: Arrays) -> bytes:
    """Arrays as they lie behind a header, in its order."""
    specs = specs_of(arrays)
    return b"".join(np.asarray(array, _order(specs[name])).tobytes() for name, array in arrays.items())


def read_arrays(specs: Mapping[str, ArraySpec], payload: bytes) -> dict[str, NDArray[Any]]:
    """The arrays that lie behind a header.

    Raises:
        FrameError: there are more or fewer bytes than it says.
    """
    sizes = {name: math.prod(spec.shape) * np.dtype(spec.dtype).itemsize for name, spec in specs.items()}
    if len(payload) != sum(sizes.values()):
        raise FrameError(("arrays", f"{len(payload)} bytes lie behind a header that says {sum(sizes.values())}"))
    found, start = {}, 0
    for name, spec in specs.items():
        part = np.frombuffer(payload, _order(spec), count=math.prod(spec.shape), offset=start)
        found[name] = part.astype(np.dtype(spec.dtype)).reshape(spec.shape)
        start += sizes[name]
    return found


def _order(spec: ArraySpec) -> str:
    return "<f4" if spec.dtype == "float32" else "<f8"
