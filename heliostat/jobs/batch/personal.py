"""What is kept of a batch's rows and answers, with what is personal treated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import pyarrow as pa
from pydantic_core import from_json, to_json

from heliostat.jobs.personal_columns import treated
from heliostat.ml.contracts import Contract
from heliostat.serving.prediction_log.columns import Column, Columns
from heliostat.serving.prediction_log.masking import Masking
from heliostat.spec.jobs import BatchSpecification
from heliostat.systems.errors import PermanentError
from heliostat.systems.personal_keys import Keyring


class PersonalColumns:
    """What a contract marks, by the columns of a batch."""

    def __init__(self, names: tuple[str, ...], columns: Columns, keys: Keyring) -> None:
        """`names`: the columns that are kept of the rows."""
        self._names = names
        self._rows: Mapping[str, Column] = {each.name: each for each in columns.input if each.kind.has_personal}
        self._asked, self._answered = Masking(columns.input, keys.treatment), Masking(columns.prediction, keys.treatment)

    @classmethod
    def of(cls, specification: BatchSpecification, contract: Contract[Any, Any]) -> Self:
        """A batch's.

        Raises:
            PermanentError: what is kept cannot be treated: there is no key, or rows are told apart by what is not kept whole.
        """
        columns = Columns.of(contract.row, contract.answer)
        marked = {each.name: each.kind for each in columns.input if each.kind.has_personal}
        for name in specification.key:
            if name in marked and not marked[name].is_hashed:
                raise PermanentError(
                    f"{specification.name}: rows are told apart by {name}, which is personal and not hashed: mark it as hashed"
                )
        names = (*specification.key, *specification.columns)
        kept = [marked[name] for name in names if name in marked]
        if specification.postprocessing:
            kept += [each.kind for each in columns.prediction]
        keys = Keyring.of(specification.privacy.keys if specification.privacy is not None else ())
        if not keys.ids and any(kind.has_hashed for kind in kept):
            raise PermanentError(f"{specification.name} keeps hashed fields and there is no key: declare serving.privacy.keys")
        return cls(names, columns, keys)

    def kept(self, table: pa.Table) -> pa.Table:
        """What is kept of the rows."""
        kept = table.select([*self._names])
        for number, name in enumerate(kept.column_names):
            column = self._rows.get(name)
            if column is not None:
                kept = kept.set_column(number, name, treated(kept[name], column, self._asked))
        return kept

    def answer(self, encoded: bytes) -> bytes:
        """What is kept of an answer in JSON."""
        return to_json(self._answered.row(from_json(encoded))) if self._answered.changes_rows else encoded
