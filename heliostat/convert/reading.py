"""Reads notebooks and scripts into statements, in the order in which they ran."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

from heliostat.convert import magics
from heliostat.convert.source import Cell, ConversionError, Place, Program, Source, Statement

NEEDS = "install what converting needs: pip install 'heliostat[convert]'"


def read(path: Path) -> Source:
    """The source in a file.

    Raises:
        ConversionError: it is not there, is no notebook or script, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"cannot read {path}: {error}") from None
    if path.suffix == ".ipynb":
        return Source(path.name, tuple(_cells(text, path)))
    if path.suffix == ".py":
        return Source(path.name, (Cell(None, None, text),))
    raise ConversionError(
        f"{path} is neither a notebook (.ipynb) nor a script (.py) nor an MLflow run (runs:/ID, or its folder)"
    )


def program(source: Source) -> Program:
    """The statements of a source.

    Raises:
        ConversionError: a cell is no Python; all of them are told.
    """
    found = Program([])
    broken = []
    for cell in ordered(source, found):
        try:
            found.statements += _statements(cell, found)
        except SyntaxError as error:
            place = Place(cell.number, error.lineno or 1)
            broken.append(f"{place}: {error.msg}: {(error.text or '').strip()}")
    if broken:
        raise ConversionError(f"{source.name} is no Python that runs:" + "".join(f"\n  {each}" for each in broken))
    return found


def ordered(source: Source, told: Program) -> list[Cell]:
    """The cells in the order in which they ran last, which is not always that of the file."""
    counts = [cell.count for cell in source.cells if cell.count is not None]
    if not counts:
        if any(cell.number is not None for cell in source.cells):
            told.tell("the notebook does not say in which order its cells ran: they are taken in the order of the file")
        return list(source.cells)
    ran = sorted((cell for cell in source.cells if cell.count is not None), key=lambda cell: cell.count or 0)
    for cell in source.cells:
        if cell.count is None:
            told.ask(f"cell {cell.number} did not run when the notebook was saved, and is left out: is it needed?")
    order = [cell.number for cell in ran]
    if order != sorted(order, key=lambda number: number or 0):
        named = ", ".join(str(number) for number in order)
        told.ask(
            f"the cells ran in another order than they stand in: {named}. This order was taken, for it made the notebook's "
            "answers; is it the one that is meant?"
        )
    missing = sorted(set(range(1, max(counts) + 1)) - set(counts))
    if missing:
        told.tell(
            f"the notebook's last run has executions that are no longer in the file (In [{_ranges(missing)}]): what "
            f"they did, such "
            "as a cell that ran twice, is not known"
        )
    return ran


def _cells(text: str, path: Path) -> Iterator[Cell]:
    try:
        import nbformat
    except ModuleNotFoundError as error:
        raise ConversionError(f"a notebook needs the package {error.name}: {NEEDS}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cells without an id, as older notebooks have them: nothing here asks for it
            notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, json.JSONDecodeError, AttributeError, KeyError) as error:
        raise ConversionError(f"{path} is no notebook: {str(error).splitlines()[0]}") from None
    language = str(notebook.metadata.get("kernelspec", {}).get("language", "python")).lower()
    if language != "python":
        raise ConversionError(f"{path} is a notebook in {language}: only Python can be converted")
    number = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.strip():
            number += 1
            yield Cell(number, cell.get("execution_count"), cell.source)


def _statements(cell: Cell, told: Program) -> Iterator[Statement]:
    """The statements of a cell, without its magics."""
    text = cell.text if cell.number is None else magics.transformed(cell.text)
    for node in ast.parse(text).body:
        place = Place(cell.number, node.lineno + cell.first_line - 1)
        found = magics.read(node)
        if found is None:
            yield Statement(node, place, ast.get_source_segment(text, node) or "")
            continue
        told.requirements += found.requirements
        if found.body is not None:
            yield from _statements(Cell(cell.number, cell.count, found.body, place.line + 1), told)
        elif found.is_open:
            told.ask(found.text, place)
        if found.text and not (found.is_open and found.body is None):
            told.tell(found.text, place)


def _ranges(numbers: list[int]) -> str:
    """`[1, 2, 3, 7]` as `1-3, 7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
