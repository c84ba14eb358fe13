"""What pydantic finds wrong, as people need it told: where it stands in what they wrote, and what would be right. Pure."""

from __future__ import annotations

import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

Path = tuple[str | int, ...]
T = TypeVar("T")

MISSING = "is missing"


@dataclass(frozen=True)
class Mistake:
    """One mistake."""

    path: Path
    """Keys and indexes as they stand in what was given, without the tags that pydantic puts in for a chosen kind."""
    kind: str
    """pydantic's name for it, e.g. `missing`."""
    text: str


def mistakes_in(model: type[BaseModel], error: ValidationError, given: Any) -> list[Mistake]:
    """Every mistake that `error` tells of `given`, which was to be a `model`.

    Left out is what follows from another mistake: that a list is empty once its wrong items are taken away.
    """
    found = []
    for each in error.errors(include_url=False):
        if not _follows(each):
            known = _known(model, each["loc"])
            found.append(Mistake(_place(each, given), each["type"], _text(each, known)))
    return list(dict.fromkeys(found))


def beside(value: Any, handler: Callable[[Any], T], *whole: PydanticCustomError | InitErrorDetails) -> T:
    """What `handler` makes of `value`, where nothing is wrong with the `whole` either.

    pydantic looks at a whole only where its parts are right; a validator in the mode `wrap` that ends with this tells both.

    Raises:
        ValidationError: with the mistakes of the parts and of the whole.
    """
    found = [each if isinstance(each, dict) else InitErrorDetails(type=each, input=value) for each in whole]
    try:
        result = handler(value)
    except ValidationError as error:
        parts = map(_again, error.errors(include_url=False))
        raise ValidationError.from_exception_data(error.title, [*parts, *found]) from None
    if found:
        raise ValidationError.from_exception_data("whole", found)
    return result


def not_one_of(given: Any, what: str, *names: str) -> list[PydanticCustomError]:
    """That a model, which may be wrong in other ways too, was given none of `names`, or more than one."""
    if not isinstance(given, Mapping) or sum(given.get(name) is not None for name in names) == 1:
        return []
    return [PydanticCustomError("not_one", f"{what} either {' or '.join(f'`{name}`' for name in names)}")]


def _again(mistake: Any) -> InitErrorDetails:
    """A mistake as it can be raised once more."""
    kind: Any = mistake["type"]
    if kind not in typing.get_args(ErrorType):
        kind = PydanticCustomError(kind, mistake["msg"])
    return InitErrorDetails(type=kind, loc=mistake["loc"], input=mistake["input"], ctx=mistake.get("ctx", {}))


def place(location: Path, given: Any) -> Path:
    """pydantic's location in `given`: without the labels of union members."""
    path: list[str | int] = []
    last, tagged = len(location) - 1, False
    for index, part in enumerate(location):
        if not tagged and isinstance(given, Mapping) and given.get("kind") == part:
            tagged = True  # a kind may be called like one of its own keys
        elif _has(given, part):
            given, tagged = given[part], False
            path.append(part)
        elif index == last and isinstance(given, Mapping) and part != "[key]" and given.get("kind") != part:
            path.append(part)  # what is missing
    return tuple(path)


def _has(given: Any, part: str | int) -> bool:
    if isinstance(given, Mapping):
        return part in given
    return isinstance(given, (list, tuple)) and isinstance(part, int) and part < len(given)


def _place(mistake: Any, given: Any) -> Path:
    path = place(mistake["loc"], given)
    return (*path, "kind") if mistake["type"] in ("union_tag_invalid", "union_tag_not_found") else path


def _follows(mistake: Any) -> bool:
    given = mistake["input"]
    return mistake["type"] == "too_short" and isinstance(given, (list, tuple)) and len(given) >= mistake["ctx"]["min_length"]


def _text(mistake: Any, known: list[str]) -> str:
    kind, given, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind == "missing":
        return MISSING
    if kind == "extra_forbidden":
        return "there is no such key" + _near(str(mistake["loc"][-1]), known)
    if kind == "union_tag_invalid":
        return _none_of(context["tag"], _listed(context["expected_tags"]))
    if kind == "union_tag_not_found":
        return f"is missing; one of {', '.join(known)}"
    if kind in ("literal_error", "enum"):
        return _none_of(given, _listed(context["expected"]))
    if kind == "too_short":
        return f"needs at least {context['min_length']}"
    if kind in ("model_attributes_type", "model_type", "dict_type"):
        named = f", with a `kind` of {', '.join(known)}" if known and kind == "model_attributes_type" else ""
        return f"needs keys and values{named} (given: {given!r})"
    text = str(mistake["msg"]).removeprefix("Value error, ")
    whole = isinstance(given, (dict, list, tuple, BaseModel)) or kind == "weights_fall"
    unit = unit_of(mistake["loc"])
    if unit and isinstance(given, str):
        return f"is a number of {unit}, without a unit{_counted(given, unit)} (given: {given!r})"
    counted = unit if isinstance(given, int | float) and math.isfinite(given) else ""
    shown = "" if whole else f" (given: {f'{_LOGIN.sub(_HIDDEN, repr(given))} {counted}'.rstrip()})"
    return f"{text[:1].lower()}{text[1:]}{shown}"


_LOGIN = re.compile(r"://[^/\s@]*@")
_HIDDEN = "://[secret]@"
"""What is shown of a name and a password in a URL."""
_UNITS = {"seconds": "seconds", "ms": "milliseconds", "mib": "MiB", "bytes": "bytes", "percentage": "percent"}
_SECONDS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|sec|m|min|h|d)\s*")


def unit_of(location: Path) -> str:
    """What a number at this path counts, as its key says: `retentionSeconds` counts seconds; empty where it does not."""
    key = next((part for part in reversed(location) if isinstance(part, str)), "")
    word = re.split(r"(?<=[a-z])(?=[A-Z])|_", key)[-1].lower()
    return _UNITS.get(word, "")


def _counted(given: str, unit: str) -> str:
    """What to write for a duration that has its unit with it."""
    found = _DURATION.fullmatch(given)
    if found is None or unit not in {"seconds", "milliseconds"}:
        return ""
    seconds = float(found.group(1)) * _SECONDS[found.group(2)]
    return f": write {seconds if unit == 'seconds' else seconds * 1000:g}"


def _none_of(given: object, known: Iterable[str]) -> str:
    names = list(known)
    return f"{given!r} is none of {', '.join(names)}" + _near(str(given), names)


def _near(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def _listed(text: str) -> list[str]:
    """The names in pydantic's list `'a', 'b' or 'c'`."""
    return text.replace(" or ", ", ").replace("'", "").split(", ")


def _known(model: type[BaseModel], location: Path) -> list[str]:
    """What may stand where a mistake is: the kinds of a choice, else the keys beside it."""
    here: Any = model
    beside: Any = None
    for part in location:
        beside = here
        here = _inside(here, part)
    kinds = [member.model_fields["kind"].default for member in _models(here) if "kind" in member.model_fields]
    if len(kinds) > 1:
        return kinds
    return [key for member in _models(beside)[:1] for key in _aliases(member)]


def _inside(annotation: Any, part: str | int) -> Any:
    """The annotation of what stands at `part` in a value of `annotation`; a choice's tag leads to that choice."""
    members = _models(annotation)
    tagged = [member for member in members if "kind" in member.model_fields and member.model_fields["kind"].default == part]
    if tagged and len(members) > 1:
        return tagged[0]
    for member in members:
        for name, field in member.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
    arguments = [each for each in typing.get_args(_bare(annotation)) if each is not Ellipsis]
    return arguments[-1] if arguments and not members else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that a value of `annotation` may be."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return [model for part in typing.get_args(annotation) for model in _models(part)]
    return []


def _bare(annotation: Any) -> Any:
    return _bare(typing.get_args(annotation)[0]) if typing.get_origin(annotation) is Annotated else annotation


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
