"""Contracts of any type with what may be sent to them, and a prediction log of one."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, Required

import pyarrow.parquet as pq
from hypothesis import strategies as st
from pydantic import (
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    NaiveDatetime,
    RootModel,
)
from pydantic_core import from_json, to_json
from serving_fakes import seal_here
from typing_extensions import TypedDict

from heliostat.analysis.logged_requests import LoggedRequests
from heliostat.serving.bodies import Bodies
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.workload import PredictionLog as Settings
from heliostat.systems.objects import open_store


class Told(BaseModel):
    p: float


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


class Level(enum.IntEnum):
    LOW = 1


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = "Rex"


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int
    y: str | None = None
    z: float | None = 2.5


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 1


class Numbers(RootModel[list[int]]):
    pass


class Size(TypedDict, total=False):
    width: Required[float]
    unit: str


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Span(NamedTuple):
    low: int
    high: float


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
INTEGERS = st.integers() | st.integers(-(2**64), 2**64)
TEXTS = st.text(st.characters(codec="utf-8"))
INNER = st.fixed_dictionaries({"x": INTEGERS}, optional={"y": st.none() | TEXTS, "z": st.none() | st.floats()})
PETS = st.fixed_dictionaries({"kind": st.just("cat"), "lives": INTEGERS}) | st.fixed_dictionaries(
    {"kind": st.just("dog")}, optional={"name": st.none() | TEXTS}
)
ZONES = st.none() | st.integers(-23 * 60, 23 * 60).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))
TIMES = st.datetimes(timezones=ZONES).map(dt.datetime.isoformat)
AWARE = st.datetimes(timezones=ZONES.filter(bool) | st.just(dt.UTC)).map(dt.datetime.isoformat)
NAIVE = st.datetimes().map(lambda at: at.isoformat(" "))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.floats(allow_nan=False, allow_infinity=False)
TREES = st.recursive(
    st.fixed_dictionaries({"value": INTEGERS}),
    lambda inner: st.fixed_dictionaries({"value": INTEGERS, "children": st.lists(inner, max_size=2)}),
    max_leaves=4,
)

LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, INTEGERS),
    (Annotated[int, Field(ge=0, lt=100)], st.integers(0, 99)),
    (float, st.floats() | INTEGERS.filter(lambda number: abs(number) < 10**300)),
    (Annotated[float, Field(allow_inf_nan=False)], st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (str, TEXTS),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Literal["a", 1, True], st.sampled_from(["a", 1, True])),
    (Colour, st.sampled_from(["red", 2])),
    (Level, st.just(1)),
    (int | str, INTEGERS | TEXTS),
    (int | float, INTEGERS | st.floats()),
    (float | str, st.floats() | TEXTS),
    (bool | int | None, st.none() | st.booleans() | INTEGERS),
    (dt.datetime, TIMES),
    (AwareDatetime, AWARE),
    (NaiveDatetime, NAIVE),
    (dt.date, st.dates().map(dt.date.isoformat)),
    (dt.time, st.times(timezones=ZONES).map(dt.time.isoformat)),
    (dt.timedelta, st.timedeltas().map(lambda span: from_json(to_json(span)))),
    (decimal.Decimal, DECIMALS),
    (uuid.UUID, st.uuids().map(str)),
    (bytes, TEXTS),
    (Base64Bytes, st.binary().map(lambda raw: from_json(to_json(raw, bytes_mode="base64")))),
    (HttpUrl, st.just("https://example.org/a?b=1")),
    (Json, ANYTHING.map(lambda value: to_json(value).decode())),
    (Inner, INNER),
    (Open, st.dictionaries(TEXTS.filter(lambda name: name != "a"), ANYTHING, max_size=2)),
    (Cat | Dog, PETS),
    (Annotated[Cat | Dog, Field(discriminator="kind")], PETS),
    (Tree, TREES),
    (Any, ANYTHING),
    (dict, st.dictionaries(TEXTS, ANYTHING, max_size=2)),
    (list, st.lists(ANYTHING, max_size=2)),
    (tuple[int, str], st.tuples(INTEGERS, TEXTS).map(list)),
    (tuple[int, int], st.tuples(INTEGERS, INTEGERS).map(list)),
    (dict[int, str], st.dictionaries(st.integers().map(str), TEXTS, max_size=2)),
    (None, st.none()),
    (Numbers, st.lists(INTEGERS, max_size=3)),
    (Size, st.fixed_dictionaries({"width": st.floats()}, optional={"unit": TEXTS})),
    (Point, st.fixed_dictionaries({"x": INTEGERS}, optional={"y": st.floats()})),
    (Span, st.tuples(INTEGERS, st.floats()).map(list)),
]


def _nested(inner: st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]]) -> st.SearchStrategy[Any]:
    def plain(found: tuple[Any, Any]) -> st.SearchStrategy[Any]:
        of, values = found
        return st.sampled_from(
            [
                (list[of], st.lists(values, max_size=3)),
                (tuple[of, ...], st.lists(values, max_size=3)),
                (set[int], st.sets(INTEGERS, max_size=3).map(list)),
                (frozenset[str], st.sets(TEXTS, max_size=3).map(list)),
                (dict[str, of], st.dictionaries(TEXTS, values, max_size=3)),
                (Optional[of], st.none() | values),  # noqa: UP045 - `None | None` is no type
            ]
        )

    return inner.flatmap(plain)


TYPES = st.recursive(st.sampled_from(LEAVES), _nested, max_leaves=3)


@st.composite
def fields(draw: Any) -> tuple[dict[str, Any], dict[str, st.SearchStrategy[Any]], dict[str, st.SearchStrategy[Any]]]:
    """Of a model: their definitions, and what to send for those that are required and those that are not."""
    definitions, required, optional = {}, {}, {}
    for number in range(draw(st.integers(1, 4))):
        of, values = draw(TYPES)
        name = f"f{number}"
        wire = draw(st.sampled_from([name, f"a {number}.ü"]))
        alias = {} if wire == name else {"alias": wire}
        if draw(st.booleans()):
            definitions[name] = (of, Field(**alias))
            required[wire] = values
        else:
            # The default is not what is sent, so that a field that comes back although it was left out shows.
            default = draw(st.sampled_from([None, "left out"]))
            definitions[name] = (Optional[of], Field(default=default, **alias))  # noqa: UP045
            optional[wire] = st.none() | values
    return definitions, required, optional


def log_of(address: StoreAddress, row: type[BaseModel], tmp_path: Path, answer: type[BaseModel] = Told) -> PredictionLog:
    columns = Columns.of(row, answer)
    return PredictionLog(Settings(flush_seconds=0.01), address, tmp_path / "spool", "any", "1", columns, seal=seal_here)


def files(address: StoreAddress) -> list[Any]:
    root = Path(address.uri.removeprefix("file://"))
    return [pq.ParquetFile(root / info.key).read() for info in open_store(address).list("predictions/any/")]


def logged(address: StoreAddress, tmp_path: Path) -> list[bytes]:
    requests = LoggedRequests("any", address, tmp_path / "spool")
    return [ask.body for asks in requests.newest(1000) for ask in asks][::-1]


def log_all(address: StoreAddress, row: type[BaseModel], tmp_path: Path, bodies: list[bytes]) -> None:
    log = log_of(address, row, tmp_path)
    reader = Bodies(row, 1000)
    for number, body in enumerate(bodies):
        rows, single = reader.read(body)
        answer = b'{"p":1.0}' if single else b'{"rows":[%s]}' % b",".join([b'{"p":1.0}'] * len(rows))
        log.add(b"r-%d" % number, body, len(rows), answer, 0.001)
    log.close()
