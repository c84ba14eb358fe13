"""The text of a `contract.yaml`: the first one, of a draft, and the same with new answers. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from heliostat.spec.model_contracts import SCHEMA_FILE, TODO, Ranges, contract_of, plain, questions
from heliostat.spec.recording import Found

_HEAD: Final = """\
# yaml-language-server: $schema=../../configs/{schema}
# Made by `heliostat contract {name}` of {model}, from its signature and its input example. Review it: clients are held to it,
# and so is each later version of the model. What begins with {todo} is asked of you; `up` goes on once all is answered.
"""
_ASKED: Final = {
    "description": f"{TODO}: what it tells, and for whom",
    "task": f"{TODO}: binary, multiclass, multilabel, regression, quantiles, ranking, forecasting, embedding or free",
    "ranges": f"{TODO}: a signature knows types alone. Give fields of the request minimum, maximum, minLength, maxLength or "
    "choices and write `given`, or write `open` to take every value of their types",
}
_EXAMPLE: Final = f"{TODO}: a value that makes sense"
_UNRECORDED: Final = f"{TODO}: answer what is asked above, then run `heliostat contract {{name}}` again, which records them"
_WIDTH: Final = 120


def drafted(name: str, model: str, found: Found) -> str:
    """The first text of a contract."""
    draft = found.draft
    task = found.task or _ASKED["task"]
    examples = list(draft["examples"]) or [dict.fromkeys(draft["request"], _EXAMPLE)]
    document = CommentedMap(
        title=name,
        description=_ASKED["description"],
        task=task,
        ranges=_ASKED["ranges"],
        reads=str(found.reads or draft["reads"]),
        loader=str(found.loader),
        request=_fields(draft["request"]),
        answer=_fields(draft["answer"]),
        examples=_rows(examples),
        recorded=_flow({"model": model, "digest": found.digest}),
        golden=_golden(examples, found.answers) if not found.open else _UNRECORDED.format(name=name),
    )
    return _HEAD.format(schema=SCHEMA_FILE, name=name, model=model, todo=TODO) + _written(document)


def recordable(text: str, file: str) -> dict[str, Any]:
    """What of a contract decides answers: `reads`, `request`, `answer` and `examples`.

    Raises:
        ModelContractError: that has mistakes, or questions are open in it.
    """
    given = YAML(typ="safe", pure=True).load(text)
    values: dict[str, Any] = plain(given) if isinstance(given, Mapping) else {}
    kept: dict[str, Any] = {key: values[key] for key in ("reads", "request", "answer", "examples") if key in values}
    kept["answer"] = _undescribed(kept.get("answer"))
    rest = {
        "title": "title",
        "description": "description",
        "task": "free",
        "ranges": Ranges.OPEN.value,
        "recorded": {"model": "model", "digest": "0" * 64},
        "golden": [{"name": "golden", "request": {}, "answer": {}}],
    }
    contract_of({**rest, **kept} if isinstance(given, Mapping) else given, file)
    return kept


def recorded(text: str, model: str, found: Found) -> str:
    """A contract's text with the answers of a model; all else in it stays, comments too."""
    yaml = _yaml()
    document = yaml.load(text)
    examples = plain(document["examples"])
    document["reads"], document["loader"] = str(found.reads), str(found.loader)
    document["recorded"] = _flow({"model": model, "digest": found.digest})
    document["golden"] = _golden(examples, found.answers)
    return _written(document)


def open_questions(text: str) -> list[str]:
    """Where something is still to be answered, as paths."""
    values = plain(YAML(typ="safe", pure=True).load(text))
    return [".".join(map(str, path)) for path, _ in questions(values)]


def _undescribed(fields: Any) -> Any:
    if not isinstance(fields, Mapping):
        return fields
    return {
        name: {key: value for key, value in field.items() if key != "description"} if isinstance(field, Mapping) else field
        for name, field in fields.items()
    }


def _fields(fields: Mapping[str, Any]) -> CommentedMap:
    """One field a line, where nothing is asked about it."""
    found = CommentedMap()
    for name, field in fields.items():
        found[name] = _block(field) if list(questions(field)) else _flow(field)
    return found


def _rows(rows: Sequence[Any]) -> CommentedSeq:
    return CommentedSeq([_block(row) if list(questions(row)) else _flow(row) for row in rows])


def _golden(examples: Sequence[Any], answers: Sequence[Any]) -> CommentedSeq:
    pairs = zip(examples, answers, strict=True)
    return CommentedSeq(
        [
            CommentedMap(name=f"example {number}", request=_flow(example), answer=_flow(answer))
            for number, (example, answer) in enumerate(pairs, 1)
        ]
    )


def _flow(value: Any) -> Any:
    """The value as YAML in one line."""
    if isinstance(value, Mapping):
        found = CommentedMap((key, _flow(each)) for key, each in value.items())
        found.fa.set_flow_style()
        return found
    if isinstance(value, (list, tuple)):
        entries = CommentedSeq([_flow(each) for each in value])
        entries.fa.set_flow_style()
        return entries
    return value


def _block(value: Any) -> Any:
    if isinstance(value, Mapping):
        return CommentedMap((key, _block(each)) for key, each in value.items())
    return CommentedSeq([_block(each) for each in value]) if isinstance(value, (list, tuple)) else value


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _written(document: Any) -> str:
    stream = io.StringIO()
    _yaml().dump(document, stream)
    return "".join(_trimmed(stream.getvalue()))


def _trimmed(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield line.rstrip() + "\n"
