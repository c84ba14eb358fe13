"""The steps between a model's answers and a client, loaded: each is called with a request's rows and answers, in order.

A step's answers are held against the contract, and compared with those before by their JSON: what changed is known whatever
a step says of it, or mutates in place.
"""

from __future__ import annotations

import logging
import re
import time
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from heliostat.ml.contracts import load_entry_point
from heliostat.ml.postprocessing import Changed, Given, read_list
from heliostat.spec.parameters import JobParameters
from heliostat.spec.postprocessing import ListSource, OnError, Outcome, PostprocessingStep

_REASON: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_SHOWN: Final = 80
_TELL_SECONDS: Final = 60.0
_log = logging.getLogger("ray.serve")

ReadList = Callable[[ListSource], str]
"""The content of a list, by its digest."""


class StepError(Exception):
    """A step failed on a request, or answered what it must not; the text is for the client, the cause for the log."""

    def __init__(self, step: str, text: str, kind: str = "", why: str = "") -> None:
        """`kind`, `why`: of its cause, where that is not to be told whole."""
        super().__init__(f"the post-processing step {step} {text}")
        self.step = step
        self.text = text
        self.answers = 1
        """How many answers the request would have had."""
        self._kind, self._why = kind, why

    @property
    def kind(self) -> str:
        """The name of the error's own type."""
        return self._kind or type(self.__cause__ or self).__name__

    @property
    def why(self) -> str:
        """What its cause says; empty where it has none."""
        return self._why or str(self.__cause__ or "")


@dataclass(frozen=True, slots=True)
class Change:
    """What one step did to one answer."""

    row: int
    step: str
    version: str
    outcome: Outcome
    reason: str = ""
    """The step's own code; of what was passed, the error's kind."""
    removed: int = 0

    def as_logged(self) -> dict[str, Any]:
        """As the prediction log has it."""
        return {
            "step": self.step, "version": self.version, "outcome": self.outcome.value, "reason": self.reason,
            "removed": self.removed,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Processed:
    """A request's answers after the steps."""

    answers: list[Any]
    encoded: list[bytes]
    """Their JSON."""
    model_encoded: list[bytes]
    """The JSON of what the model answered, before the steps."""
    changes: tuple[Change, ...]

    def body(self, single: bool) -> bytes:
        """The answer's body, byte for byte as without steps."""
        return self.encoded[0] if single else b'{"rows":[' + b",".join(self.encoded) + b"]}"


class _Answered(NamedTuple):
    """What a step made of one answer."""

    answer: Any
    encoded: bytes
    """Its JSON; the very object from before where nothing changed."""
    reason: str = ""
    removed: int = 0


class Hiding(Protocol):
    """Knows what a step must not tell on of the rows and answers that it is given."""

    def error(self, error: StepError, rows: Sequence[Any], encoded: Sequence[bytes]) -> StepError:
        """What is told of an error in its place; `encoded`: the JSON of the answers."""

    def reason(self, reason: str, row: Any, encoded: Sequence[bytes]) -> str:
        """What is told of a change's reason in its place."""


class LoadedStep:
    """One step with what it is declared with."""

    def __init__(self, step: PostprocessingStep, read: ReadList, answer: type[BaseModel], below: str = "") -> None:
        """Load it.

        Raises:
            ValueError: its parameters do not fit. Whatever importing its module raises comes through as it is.
        """
        self.name, self.version = step.name, step.version
        self.passes = step.on_error is OnError.PASS
        function = load_entry_point(f"{below}.{step.function}" if below else step.function)
        self._answer = answer
        lists = {name: read_list(read(source)) for name, source in step.lists.items()}
        try:
            self._given = Given(parameters_of(function, step.parameters), lists)
        except ValueError as error:
            raise ValueError(f"the step {step.name}: {error}") from None
        self._function = function

    def __call__(self, rows: Sequence[Any], answers: Sequence[Any], encoded: Sequence[bytes]) -> list[_Answered]:
        """Each answer afterwards; `encoded`: the JSON of those before.

        Raises:
            StepError: it raises, or gives what is no answer of the contract's.
        """
        # What a step that is passed over has done in place is not to be seen.
        handed = [answer.model_copy(deep=True) for answer in answers] if self.passes else answers
        try:
            found = self._function(rows, handed, self._given)
        except Exception as error:
            raise StepError(self.name, f"failed on this request ({type(error).__name__})") from error
        if not isinstance(found, Sequence) or isinstance(found, str | bytes) or len(found) != len(answers):
            count = f"{len(found)} answers" if isinstance(found, Sequence) else f"a {type(found).__name__}"
            raise StepError(self.name, f"gave {count} for {len(answers)} rows: it must give one for each row, in their order")
        return [self._checked(*each) for each in zip(found, answers, encoded, strict=True)]

    def _checked(self, found: Any, before: Any, encoded: bytes) -> _Answered:
        said = found if isinstance(found, Changed) else None
        answer: Any = found.answer if isinstance(found, Changed) else found
        reason, removed = (said.reason, said.removed) if said is not None else ("", 0)
        if reason and not _REASON.match(reason):
            # Whole or not at all: a personal value that is cut is not found in it, and not hidden.
            told = f"the reason {reason!r}" if len(reason) <= _SHOWN else f"a reason of {len(reason)} characters"
            raise StepError(self.name, f"gave {told}: a code of at most 64 of lower case, digits and dashes is needed")
        if not isinstance(removed, int) or removed < 0:
            raise StepError(self.name, f"says that it removed {removed!r} entries: a whole number from 0 on is needed")
        if not isinstance(answer, self._answer):
            wanted = self._answer.__name__
            raise StepError(self.name, f"gave a {type(answer).__name__} for an answer: the contract's are {wanted}")
        try:
            now = to_json(answer)
            if now == encoded:
                return _Answered(before, encoded)
            answer = type(answer).model_validate(
                answer.model_dump(round_trip=True, by_alias=False, warnings=False), by_alias=False, by_name=True
            )
            return _Answered(answer, to_json(answer), reason, removed)
        except ValidationError as error:
            places = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors()[:3])
            raise StepError(self.name, f"gave what the contract does not answer: {places}") from error
        except ValueError as error:
            raise StepError(self.name, f"gave what is no JSON: {error}") from error


class Steps:
    """The steps of an application. Safe to use from several threads, where the workload's functions are."""

    def __init__(
        self,
        steps: Iterable[PostprocessingStep],
        read: ReadList,
        answer: type[BaseModel],
        below: str = "",
        hiding: Hiding | None = None,
    ) -> None:
        """Load them; `read`: gives the content of a list, `answer`: the contract's type, `below`: the package that their
        modules were moved to, `hiding`: what hides personal values in what they say, where there may be some.

        Raises:
            ValueError: parameters of one do not fit. Whatever importing its module raises comes through as it is.
        """
        self._steps = [LoadedStep(step, read, answer, below) for step in steps]
        self._hiding = hiding
        self._told: dict[str, float] = {}

    @property
    def versions(self) -> dict[str, str]:
        """The version of each, by name."""
        return {step.name: step.version for step in self._steps}

    def apply(self, rows: Sequence[Any], answers: Sequence[Any]) -> Processed:
        """What a client gets for rows that the model answered so.

        Raises:
            StepError: a step failed that is not to be passed over.
        """
        model_encoded = [to_json(answer) for answer in answers]
        answers, encoded = list(answers), list(model_encoded)
        changes: list[Change] = []
        for step in self._steps:
            try:
                found = step(rows, answers, encoded)
            except StepError as failed:
                error = self._hiding.error(failed, rows, [*model_encoded, *encoded]) if self._hiding else failed
                if not step.passes:
                    error.answers = len(answers)
                    if error is not failed:
                        raise error from None
                    raise
                changes += [Change(row, step.name, step.version, Outcome.PASSED, error.kind) for row in range(len(answers))]
                self._tell(error)
                continue
            for row, (answer, now, reason, removed) in enumerate(found):
                if now is not encoded[row]:
                    if reason and self._hiding:
                        reason = self._hiding.reason(reason, rows[row], [model_encoded[row], encoded[row], now])
                    answers[row], encoded[row] = answer, now
                    changes.append(Change(row, step.name, step.version, Outcome.CHANGED, reason, removed))
        return Processed(answers, encoded, model_encoded, tuple(changes))

    def _tell(self, error: StepError) -> None:
        """Log what was passed over, of each step once a minute."""
        now = time.monotonic()
        if now - self._told.get(error.step, -_TELL_SECONDS) >= _TELL_SECONDS:
            self._told[error.step] = now
            _log.warning("%s; its requests are answered without it (onError: pass)", error, exc_info=error)


def parameters_of(function: Any, parameters: Mapping[str, Any]) -> Any:
    """A step's parameters as its function reads them: of the class in its annotation `Given[...]`, else as they are.

    Raises:
        ValueError: they do not fit the class, or the annotation cannot be read.
    """
    wanted = _parameters_class(function)
    if wanted is None:
        return parameters
    try:
        return wanted.model_validate(parameters)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'they'}: {each['msg']}" for each in error.errors())
        raise ValueError(f"the parameters do not fit {wanted.__name__}: {told}") from None


def _parameters_class(function: Any) -> type[JobParameters] | None:
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError) as error:
        raise ValueError(
            f"its annotations cannot be read ({error}): import what they name, not for type checkers only"
        ) from None
    hints.pop("return", None)
    for hint in reversed(hints.values()):
        if typing.get_origin(hint) is Given:
            found = typing.get_args(hint)[0]
            return found if isinstance(found, type) and issubclass(found, JobParameters) else None
    return None
