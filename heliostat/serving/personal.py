"""What is personal in requests and answers, treated before anything of them is written or told to anybody else.

The model gets what was sent. The prediction log, the tap, what analyses copy and replay, and texts of errors get what is made
of it here; what waits in a broker has to be read again, and is sealed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from heliostat.ml.contracts import Contract
from heliostat.serving.bodies import Body, is_many
from heliostat.serving.errors import HttpError
from heliostat.serving.hiding import hiding, personal_in
from heliostat.serving.postprocessing import StepError
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.masking import Masking
from heliostat.spec.personal import ConsentByField, ConsentByHeader, Privacy
from heliostat.systems.errors import PermanentError
from heliostat.systems.personal_keys import MASK, TOKEN, Keyring


class WithheldError(RuntimeError):
    """What the workload's code raised, in words without the personal values of its request."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind
        """The name of the error's own class."""


class PersonalData:
    """Of one version's contract. Safe to use from several threads."""

    def __init__(self, contract: Contract[Any, Any], columns: Columns, privacy: Privacy, keys: Keyring) -> None:
        """Take a contract's columns and how they are kept.

        Raises:
            PermanentError: what the contract marks cannot be done with these keys, or the consent's field is not there.
        """
        if mistakes := list(mistakes_of(contract, columns, privacy, bool(keys.ids))):
            raise PermanentError(f"{contract.title}: {'; '.join(mistakes)}")
        self.keys = keys
        self._asked, self._answered = Masking(columns.input, keys.treatment), Masking(columns.prediction, keys.treatment)
        self.in_rows, self.in_answers = self._asked.changes_rows, self._answered.changes_rows
        self.is_personal = any(column.kind.has_personal for column in columns.input)
        self._columns = columns
        self._stand_ins = _stand_ins(contract, columns)
        self.consent_header = privacy.consent.header.encode() if isinstance(privacy.consent, ConsentByHeader) else b""
        """The header that says whether a request may be kept; empty where none does."""
        self._values = tuple(each.strip().lower().encode() for each in getattr(privacy.consent, "values", ()))
        self.asks_rows = isinstance(privacy.consent, ConsentByField)
        """Whether a request's rows say whether it may be kept."""
        self._field = _attribute(contract.row, privacy.consent.field) if isinstance(privacy.consent, ConsentByField) else None

    @classmethod
    def of(cls, contract: Contract[Any, Any], privacy: Privacy | None) -> Self:
        """With the keys read from where they are; raises what `Keyring.of` does, and this does."""
        given = privacy or Privacy()
        return cls(contract, Columns.of(contract.row, contract.answer), given, Keyring.of(given.keys))

    def header_consents(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request's headers let it be kept; where consent is said elsewhere, or not asked for, they do."""
        name = self.consent_header
        return not name or headers.get(name, b"").strip().lower() in self._values

    def rows_consent(self, rows: Sequence[Any]) -> bool:
        """Whether all rows of a request do."""
        field = self._field
        return field is None or all(getattr(row, field, None) is True for row in rows)

    def request(self, body: Body) -> Body:
        """A request's body, as others are told it; of one that is no JSON nothing is."""
        return _treated(bytes(body), self._asked) if self.in_rows else body

    def answer(self, body: Body) -> Body:
        """The same of an answer's."""
        return _treated(bytes(body), self._answered) if self.in_answers else body

    def completed(self, body: bytes, whole: bool = False) -> bytes:
        """A replayed body that the contract takes: in the place of what was treated comes what its first example has.

        `whole`: of every personal field; by default of those that nothing, or a hash, stands for.
        """
        try:
            found = from_json(body)
        except ValueError:
            return body
        rows = found.get("rows") if isinstance(found, dict) and is_many(body) else [found]
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                self._complete(row, whole)
        return to_json(found)

    def withheld(self, error: BaseException, body: Body) -> BaseException:
        """What is told of an error of the workload's code: it may quote what it was given."""
        if not self.is_personal or isinstance(error, StepError):  # a step's has been withheld where it was raised
            return error
        hidden = hiding(self._clear_values(bytes(body)))
        told = WithheldError(type(error).__name__, hidden(str(error)))
        told.add_note(hidden("".join(traceback.format_exception(error))))
        return told

    def refusal(self, error: HttpError, body: bytes) -> HttpError:
        """A refusal as it is written down: without the personal values that it shows to who sent them."""
        if not self.is_personal:
            return error
        hidden = hiding(self._clear_values(body))
        detail = error.detail
        if isinstance(detail, list):
            detail = [{**{k: v for k, v in each.items() if k != "input"}, "msg": hidden(str(each["msg"]))} for each in detail]
        return HttpError(error.status, detail if isinstance(detail, list) else hidden(str(detail)), error.headers)

    def _complete(self, row: dict[str, Any], whole: bool) -> None:
        for names, stand_in, required in self._stand_ins:
            sent = next((name for name in names if name in row), None)
            if sent is None:
                if required:
                    row[names[0]] = stand_in
            elif whole or _is_treated(row[sent]):
                row[sent] = stand_in

    def _clear_values(self, body: bytes) -> set[str]:
        try:
            found = from_json(body)
        except ValueError:
            return set()
        rows = found.get("rows", [found]) if isinstance(found, dict) else []
        columns = self._columns.input
        return {text for row in rows if isinstance(row, dict) for text in personal_in(row, columns)}


def _treated(body: bytes, masking: Masking) -> bytes:
    try:
        found = from_json(body)
    except ValueError:
        return b""
    rows = found.get("rows") if isinstance(found, dict) and is_many(body) else None
    if isinstance(rows, list):
        return to_json({"rows": [masking.row(row) for row in rows]})
    return to_json(masking.row(found)) if isinstance(found, dict) else b""


def mistakes_of(
    contract: Contract[Any, Any], columns: Columns, privacy: Privacy, has_keys: bool, queue: bool = False
) -> Iterator[str]:
    """What of a contract's personal fields cannot be done; `queue`: whether it takes tasks as well."""
    personal = [column.name for column in columns.input if column.kind.has_personal]
    hashed = any(column.kind.has_hashed for column in (*columns.input, *columns.prediction))
    if hashed and not has_keys:
        yield "fields are to be hashed, and there is no key: declare serving.privacy.keys"
    if personal and queue and not has_keys:
        yield "tasks with personal fields wait in a broker, sealed, and there is no key: declare serving.privacy.keys"
    if personal and not contract.examples:
        yield "what is replayed has the first example's values in the place of personal ones: give the contract an example"
    if len(subjects_of(columns)) > 1:
        yield f"rows are one person's each, and {' and '.join(subjects_of(columns))} are both marked as `subject`"
    consent = privacy.consent
    if isinstance(consent, ConsentByField) and _attribute(contract.row, consent.field) is None:
        known = ", ".join(field.alias or name for name, field in contract.row.model_fields.items())
        yield f"serving.privacy.consent.field is {consent.field!r}: the contract's row has {known}"


def hashed_fields(contract: Contract[Any, Any], privacy: Privacy | None) -> dict[str, Callable[[Any], str]]:
    """What is written in the place of the values of fields that are hashed, by the field; raises what `Keyring.of` does."""
    columns = Columns.of(contract.row, contract.answer).input
    marked = [column.name for column in columns if column.kind.is_hashed]
    if not marked:
        return {}
    return dict.fromkeys(marked, Keyring.of(privacy.keys if privacy is not None else ()).hashed)


def subjects_of(columns: Columns) -> list[str]:
    """The fields that say whose row it is."""
    return [column.name for column in columns.input if column.kind.personal is not None and column.kind.personal.subject]


def _attribute(row: type[BaseModel], field: str) -> str | None:
    """The attribute of a row that a client's field is."""
    return next((name for name, each in row.model_fields.items() if field in (name, each.alias)), None)


def _stand_ins(contract: Contract[Any, Any], columns: Columns) -> list[tuple[tuple[str, ...], Any, bool]]:
    """Of each field with something personal: the names it is sent by, the first example's value, and whether it must be."""
    if not contract.examples:
        return []
    example = contract.examples[0].model_dump(mode="json", by_alias=True)
    marked = [column for column in columns.input if column.kind.has_personal]
    return [((column.name, *column.also), example.get(column.name), column.required) for column in marked]


def _is_treated(value: Any) -> bool:
    """Whether a value, or a part of it, was hashed or is not there."""
    if isinstance(value, str):
        return value == MASK or bool(TOKEN.match(value))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_is_treated(part) for part in parts)
