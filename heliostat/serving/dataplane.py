"""The data plane of a replica: rows in, answers out, whatever transport carries them.

A transport reads its requests and writes its answers; what is taken, predicted, kept for the tap and logged is decided here,
so that all of them answer alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ValidationError, to_json

from heliostat.ml.contracts import Contract, Predictor
from heliostat.serving import golden
from heliostat.serving.answering import Answering
from heliostat.serving.bodies import Body, LateBody, request_id
from heliostat.serving.errors import HttpError
from heliostat.serving.expectations import ExpectedRows
from heliostat.serving.inference.rows import Question, Rows
from heliostat.serving.inference.tensors import NamedTensor
from heliostat.serving.personal import PersonalData
from heliostat.serving.postprocessing import Processed, StepError, Steps
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.serving.step_counts import Tally
from heliostat.serving.tap import Tap
from heliostat.spec.expectations import BreachCounts
from heliostat.spec.personal import KeptCounts
from heliostat.spec.rollouts import Version


class Call:
    """One request on its way to its answer."""

    __slots__ = ("_named", "consents", "fields", "logged", "replayed", "request_id", "seconds")

    def __init__(self, given_id: bytes | None, replayed: bool, consents: bool = True) -> None:
        """`given_id`: what its client calls it; `replayed`: it was sent before, or is a copy of a client's, and is answered as
        any, and neither logged nor kept."""
        self.request_id = request_id(given_id)
        self._named = given_id is not None
        self.replayed = replayed
        self.consents = consents
        """Whether it may be logged, and kept for the tap."""
        self.logged = False
        """Whether the id is in the prediction log, or in the replica's: one that is nowhere is not told."""
        self.seconds: float | None = None
        """How long its prediction took."""
        self.fields: tuple[tuple[bytes, bytes], ...] = ()
        """What its transport says of the answer beside it, as header fields."""

    def name(self, given_id: str | None) -> None:
        """Call it as its message does, where what carried it did not say."""
        if given_id and not self._named:
            self.request_id = request_id(given_id.encode())

    def told(self) -> tuple[tuple[bytes, bytes], ...]:
        """What an answer says of its request, as header fields."""
        fields = self.fields
        if self.logged:
            fields = (*fields, (b"x-request-id", self.request_id))
        if self.replayed and self.seconds is not None:
            fields = (*fields, (b"x-heliostat-milliseconds", b"%.4f" % (self.seconds * 1000)))
        return fields


class DataPlane:
    """What one replica predicts. Safe to use from several threads."""

    def __init__(
        self,
        contract: Contract[Any, Any],
        predictor: Predictor,
        version: Version,
        log: PredictionLog,
        steps: Steps | None = None,
        personal: PersonalData | None = None,
    ) -> None:
        """`steps`: what the model's answers pass through, whatever transport asked; `personal`: how the contract's personal
        fields are treated, where the log knows it too; by default as the version says."""
        self.contract = contract
        self.version = version
        self.max_body_bytes = version.limits.max_body_bytes
        self.tally = Tally(steps.versions if steps is not None else ())
        """What steps did to answers of clients."""
        self._expected = ExpectedRows(version.expectations, contract.row) if version.expectations is not None else None
        self._answering = Answering(contract, predictor, version.limits.max_rows, steps, self._expected)
        self._rows = Rows(contract, version.limits.max_rows)
        self.signature = self._rows.signature
        self._log = log
        self.personal = personal = personal or PersonalData.of(contract, version.privacy)
        self.tap = Tap(asked=personal.request, answered=personal.answer, treated=personal.is_personal)
        self._asked = self._without_consent = 0
        self._count = threading.Lock()
        predictor.predict(contract.columns(contract.examples[:1]))  # the first call is slow; no client shall wait for it

    def call(self, headers: Mapping[bytes, bytes]) -> Call:
        """A request, by what its transport's headers say of it."""
        replayed = b"x-heliostat-replay" in headers
        return Call(headers.get(b"x-request-id"), replayed, replayed or self.personal.header_consents(headers))

    @property
    def kept(self) -> KeptCounts:
        """How many requests there were, and how many of them were not kept."""
        return KeptCounts(asked=self._asked, without_consent=self._without_consent)

    @property
    def breaches(self) -> BreachCounts:
        """How many requests of clients were not as expected."""
        return self._expected.counts() if self._expected is not None else BreachCounts()

    def predict(self, call: Call, body: bytes, started: float) -> bytes:
        """Answer a JSON body of one row or of many with JSON, keep both for the tap, and log them.

        `started`: when its transport began with it, by `time.perf_counter`.

        Raises:
            HttpError: the body does not fit the limits or the contract.
            BaseException: whatever the workload's code raises.
        """
        if len(body) > self.max_body_bytes:
            raise self.oversized(len(body))
        if self._expected is not None:
            self._expected.of_client(not call.replayed)
        try:
            rows, answer, processed = self._answered(call, body)
        except BaseException as error:
            if (told := self._failed(call, body, error, started)) is not error:
                raise told from None
            raise
        self._keep(call, body, rows, answer, processed, started)
        return answer

    def check(self, body: bytes) -> None:
        """Hold a body to the limits and the contract as `predict` does, and predict nothing.

        Raises:
            HttpError: it does not fit.
        """
        if len(body) > self.max_body_bytes:
            raise self.oversized(len(body))
        if self._expected is not None:
            # What is only counted is so when it is answered.
            self._expected.of_client(self._expected.refuses)
        try:
            self._answering.read(body)
        except HttpError:
            raise
        except Exception as error:
            if (told := self.personal.withheld(error, body)) is not error:
                raise told from None
            raise

    def infer(self, call: Call, tensors: Sequence[NamedTensor], started: float) -> list[NamedTensor]:
        """Answer rows that came as tensors with tensors, keep both for the tap in the contract's own JSON, and log them.

        `started`: when its transport began with it, by `time.perf_counter`.

        Raises:
            HttpError: they do not fit the limits or the contract, or the answers are no tensors.
            BaseException: whatever the workload's code raises.
        """
        question = self._rows.question(tensors)
        if self._expected is not None:
            self._expected.of_client(not call.replayed)
        try:
            rows = self._rows_of(question)
            answers, processed = self._answering.processed(rows)
            answer = self._in_json(answers)
            outputs = self._rows.outputs(answers, answer if isinstance(answer, bytes) else None)
        except BaseException as error:
            if (told := self._failed(call, question.sent, error, started)) is not error:
                raise told from None
            raise
        self._keep(call, question.sent, rows, answer, processed, started)
        return outputs

    def answers(self, rows: Sequence[Any]) -> list[Any]:
        """The contract's answers to rows of it, in their order; neither kept nor logged."""
        return self._answering.answers(rows)

    def finished(self, rows: Sequence[Any], answers: list[Any]) -> list[Any]:
        """What a client gets where the model, or who answers in its place, answered so; neither kept nor logged."""
        return self._answering.finished(rows, answers)[0]

    def oversized(self, size: int) -> HttpError:
        """The refusal of a body of `size` bytes or more, which is over the limit."""
        limit = self.max_body_bytes
        detail = f"the body has {size} bytes or more: at most {limit} are taken; send the rows in several requests"
        return HttpError(413, detail)

    def check_golden(self) -> int:
        """Ask the contract's golden requests, and count them.

        Raises:
            GoldenFailures: some were answered otherwise than the contract expects.
        """
        if self._expected is not None:
            self._expected.of_client(False)
        return golden.passed(self.contract, lambda body: self._answering.answered(body)[1])

    def close(self) -> None:
        """Write and store what is still to be logged."""
        self._log.close()

    def _rows_of(self, question: Question) -> Sequence[Any]:
        try:
            return self._answering.bodies.read(question.json, question.beside)[0]
        except ValidationError as error:
            raise self._rows.refusal(error, question) from None

    def _in_json(self, answers: Sequence[Any]) -> Body:
        """Answers as a body; of tensors, which may be large, only for who reads it."""

        def write() -> bytes:
            return to_json(answers[0] if len(answers) == 1 else {"rows": answers})

        return LateBody(write, self._rows.size_of(answers)) if self._rows.answers_tensors else write()

    def _answered(self, call: Call, body: bytes) -> tuple[Sequence[Any], bytes, Processed | None]:
        if not (call.replayed and self.personal.is_personal):
            return self._answering.answered(body)
        try:
            return self._answering.answered(self.personal.completed(body))
        except HttpError as refusal:
            if refusal.status != 422:
                raise
            # Half a postcode may be none.
            return self._answering.answered(self.personal.completed(body, whole=True))

    def _failed(self, call: Call, body: Body, error: BaseException, started: float) -> BaseException:
        """Keep a request that was not answered, and return the error to raise."""
        refused = isinstance(error, HttpError)
        # What does not fit, or fails, may not say in its rows that it may be kept.
        call.consents = call.consents and not self.personal.asks_rows
        self._note(call, body, error.status if isinstance(error, HttpError) else 500, b"", started)
        if isinstance(error, StepError) and not call.replayed:
            self.tally.failed(error)
        return error if refused else self.personal.withheld(error, body)

    def _keep(
        self, call: Call, body: Body, rows: Sequence[Any], answer: Body, processed: Processed | None, started: float
    ) -> None:
        """Keep a request that was answered, where it may be; of a replay nothing."""
        call.consents = call.consents and (call.replayed or self.personal.rows_consent(rows))
        seconds = self._note(call, body, 200, answer, started)
        if call.replayed:
            return
        if processed is not None:
            self.tally.note(processed)  # a number of answers, which is nobody's
        if call.consents:
            call.logged = self._log.add(call.request_id, body, len(rows), answer, seconds, processed=processed)

    def _note(self, call: Call, body: Body, status: int, answer: Body, started: float) -> float:
        call.seconds = seconds = time.perf_counter() - started
        if call.replayed:
            return seconds
        with self._count:
            self._asked += 1
            self._without_consent += not call.consents
        if call.consents:
            self.tap.add(call.request_id, body, status, answer, seconds)
        return seconds
