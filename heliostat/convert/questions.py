"""What a person is asked and told of a conversion, and QUESTIONS.md, which keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heliostat.convert.effects import effects_of
from heliostat.convert.facts import Facts
from heliostat.convert.kinds import Happening
from heliostat.convert.plan import Plan, Problem
from heliostat.convert.rendering.dataset import files_of
from heliostat.convert.rendering.lines import tops
from heliostat.convert.rendering.naming import Workload
from heliostat.convert.rendering.serving import computed_answer
from heliostat.convert.rendering.training import has_probabilities, plain_probabilities
from heliostat.convert.source import Place, Question


def questions_of(workload: Workload, differences: Sequence[str] | None) -> list[Question]:
    """Everything that is asked and told, in the order of the source; `differences` from a trial, where there was one."""
    plan = workload.plan
    found = [
        *plan.program.questions,
        *_of_features(plan),
        *_of_data(workload),
        *_of_answers(workload),
        *_left_out(plan),
        *(_of_facts(workload, workload.facts) if workload.facts else _not_run(workload)),
        *_of_trial(workload, differences),
    ]
    return sorted(dict.fromkeys(found), key=_order)


def _order(question: Question) -> tuple[bool, int, int, str]:
    place = question.place or Place(None, 0)
    return not question.is_open, place.cell or 0, place.line, question.text


def page(workload: Workload, questions: Sequence[Question]) -> str:
    """QUESTIONS.md."""
    open_ones = [each for each in questions if each.is_open]
    said = [each for each in questions if not each.is_open]
    lines = [f"# {workload.name}, converted from {workload.source}", ""]
    lines += ["Places are those of the source; cells count those with code, from 1.", ""]
    lines += ["## To be answered", "", *_numbered(open_ones), ""]
    lines += ["## Decided and left out", "", *_numbered(said), ""]
    return "\n".join(lines)


def numbered(texts: Sequence[str]) -> list[str]:
    """A numbered list of Markdown."""
    return [f"{number}. {text}" for number, text in enumerate(texts, 1)] or ["Nothing."]


def _numbered(questions: Sequence[Question]) -> list[str]:
    return numbered([f"{f'{each.place}: ' if each.place else ''}{each.text}" for each in questions])


def _place(plan: Plan, index: int) -> Place:
    return plan.program.statements[index].place


def _of_features(plan: Plan) -> Iterator[Question]:
    relevant = {*plan.path}
    for event in plan.seen.events:
        if event.what is Happening.UNKNOWN and event.index in relevant:
            yield Question(
                f"{event.text}. Its line stays as it is: does it give one row what it gives many?", _place(plan, event.index)
            )
        if (
            event.what is Happening.FILTER
            and plan.split_at is not None
            and event.index in relevant
            and event.index > plan.split_at
        ):
            yield Question(
                f"`{event.text}` leaves rows of the training out, which serving has no way to do: the line takes all "
                f"of them now",
                _place(plan, event.index),
            )
        if event.what is Happening.FIT and event.part in ("test", "validation") and event.index != plan.fit.index:
            yield Question(
                f"`{event.text}` fits on rows of the test: serving keeps what the training fitted; which is meant?",
                _place(plan, event.index),
            )
        if event.what is Happening.FIT_TRANSFORM and event.part in ("test", "validation"):
            yield Question(
                f"`{event.text}` fits again on rows of the test, so that these are transformed otherwise than those "
                f"of the training: "
                "serving keeps what the training fitted; is that meant?",
                _place(plan, event.index),
            )
    for index in tops(plan, plan.path):
        outer = effects_of(plan.program.statements[index].node).changes
        if outer:
            yield Question(
                f"a function of the features changes {', '.join(sorted(outer))}, which is outside of it: all requests "
                f"of a replica share it. "
                "Is it needed after the call?",
                _place(plan, index),
            )
    for event in plan.leaks:
        yield Question(
            f"`{event.text}` is computed of all rows before they are split: what the model is tested on is known to "
            f"it already. It was "
            "kept, so that the answers stay; move it behind the split, onto the rows of the training?",
            _place(plan, event.index),
        )


def _of_data(workload: Workload) -> Iterator[Question]:
    plan = workload.plan
    for event in plan.unseeded:
        yield Question(
            f"`{event.text}` gives something else each time: the source's answers of one run cannot be had again. "
            f"Which seed shall it have?" + (" The split got random_state=0." if event.index == plan.split_at else ""),
            _place(plan, event.index),
        )
    for event in plan.seen.events:
        places = {*plan.load, *plan.label_path}
        if event.what is Happening.NETWORK and event.index in places:
            yield Question(
                f"`{event.text}` fetches data from the network: where do trainings on the platform get it?",
                _place(plan, event.index),
            )
    for file in files_of(plan, workload.folder):
        index = next(
            each.index
            for each in plan.seen.events
            if each.what is Happening.FILE and each.node.args and id(each.node.args[0]) == file.node
        )
        where = "" if "://" in file.path else ", a file of this machine: where do trainings elsewhere read it?"
        yield Question(
            f"the rows are read from {file.path}{where or ': is it reached from where trainings run?'}", _place(plan, index)
        )
    if not plan.splits:
        yield Question(
            "the model is fitted on all rows, and none are kept for a test. The workload does the same, and tests on "
            "rows that the model "
            "knows, which flatters it: how shall they be split?",
            _place(plan, plan.fit.index),
        )
    elif len(plan.splits) == 1:
        yield Question(
            "the source has rows to train on and to test on; the latter are halved, into those to validate and those to test",
            _place(plan, plan.splits[0].index),
            is_open=False,
        )


def _of_answers(workload: Workload) -> Iterator[Question]:
    plan = workload.plan
    answer = plan.answer
    place = None if answer.statement is None else _place(plan, answer.statement)
    if answer.statement is None:
        yield Question(
            "the source never asks its model: it is served with `predict`", _place(plan, plan.fit.index), is_open=False
        )
    if answer.after is not None and not computed_answer(workload, "score"):
        yield Question(
            "what is computed from the model's answer needs more than the answer, and is left out: what shall clients "
            "be told?",
            place,
        )
    elif answer.after is not None:
        yield Question("what the source computes from the model's answer is in the contract's `respond`", place, is_open=False)
    if workload.facts and workload.facts.has_probabilities and not plain_probabilities(plan):
        yield Question(
            "its probabilities and its classes come about in two ways, which may differ: the class alone is answered; are the "
            "probabilities needed?",
            place,
        )
    if plan.problem is Problem.CLASSES and workload.facts and has_probabilities(workload) and answer.method == "predict":
        yield Question(
            "the source asks for classes; the service answers with their probabilities as well", place, is_open=False
        )


def _left_out(plan: Plan) -> Iterator[Question]:
    """What the source does that no model depends on."""
    kept = {*plan.path, *plan.load, *plan.label_path, *plan.building, *plan.handed, plan.fit.index}
    cells: dict[int | None, list[int]] = {}
    for index, statement in enumerate(plan.program.statements):
        imports = type(statement.node).__name__ in ("Import", "ImportFrom")
        if index not in kept and not imports and not any(each.index == index for each in plan.splits):
            cells.setdefault(statement.place.cell, []).append(statement.place.line)
    if not cells:
        return
    places = [
        f"{'' if cell is None else f'cell {cell}, '}line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        for cell, numbers in cells.items()
    ]
    yield Question(
        f"no model depends on these, and they are left out (plots, figures, output): {'; '.join(places)}", is_open=False
    )


def _of_facts(workload: Workload, facts: Facts) -> Iterator[Question]:
    for note in facts.notes:
        yield Question(note)
    for column in facts.columns:
        if column.name not in facts.used:
            continue
        field = workload.fields[column.name]
        if column.values and column.type in ("str", "object", "string", "category"):
            yield Question(
                f"`{field}` takes the {len(column.values)} texts that the data holds, no other: can there be others?"
            )
        if column.type == "object" and not column.values:
            yield Question(f"`{field}` holds values of several types, and is taken for text: what is it?")
        if column.has_missing:
            yield Question(f"`{field}` is missing in some rows, so that a request may have null for it", is_open=False)
        if column.is_fraction_of_second:
            yield Question(f"`{field}` holds fractions of seconds, and a request's times are whole seconds: do they matter?")
    unused = [str(each.name) for each in facts.columns if each.name not in facts.used]
    if unused:
        yield Question(f"no answer depends on the columns {', '.join(unused)}: they are not asked for", is_open=False)


def _not_run(workload: Workload) -> Iterator[Question]:
    yield Question("the source was not run (--no-run), so that no answers are recorded and nothing was tried")
    yield Question(
        "which columns does a request have, of which types? contract.py and COLUMNS, INPUTS in features.py need them"
    )
    if workload.plan.problem is Problem.CLASSES:
        yield Question(
            "which classes does the model tell apart? CLASSES in features.py, and what predictor.py answers, need them"
        )


def _of_trial(workload: Workload, differences: Sequence[str] | None) -> Iterator[Question]:
    if differences is None:
        return
    recorded = len(workload.facts.recorded) if workload.facts else 0
    part = workload.facts.part if workload.facts else ""
    if not differences:
        yield Question(
            f"tried: trained in memory and asked row by row, the workload answers {recorded} rows ({part}) as the "
            f"source did, to 1e-9",
            is_open=False,
        )
    else:
        shown = "; ".join(differences[:3])
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        yield Question(
            f"tried: the workload does not answer as the source did, and its tests fail: {shown}{more}. Which line is it?"
        )
