"""What a site does with its tasks: fits on its rows and answers, for as long as it runs.

Nothing that is read here leaves it but what a round asks for. What was sent is remembered, so that a coordinator that was
killed is given the same again; what a masked attempt needs is in memory alone: a site that is killed in one sits it out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from heliostat.federated import exact, privacy
from heliostat.federated.contributions import Contribution, Layout, Vector
from heliostat.federated.masks import MaskError, PublicKeys, SiteSecrets
from heliostat.federated.messages import (
    Keys,
    MaskedUpdate,
    Reason,
    Revealed,
    Shares,
    Step,
    Task,
    TrainingNote,
    Update,
    pack,
    packed_arrays,
    read_arrays,
    specs_of,
)
from heliostat.ml.federated import Federation
from heliostat.sites import code, packages, rows
from heliostat.sites.code import AbstainError
from heliostat.sites.place import SitePlace
from heliostat.systems.coordinator_api import CoordinatorClient, NotTakenError
from heliostat.systems.errors import PermanentError, RetryableError

_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 5.0


@dataclass(frozen=True)
class _Training:
    """A training that this site takes part in, with the rows that lay here when it began."""

    note: TrainingNote
    federation: Federation
    table: pa.Table
    data_digest: str


@dataclass
class _Fitted:
    """What this site adds to a round."""

    digest: str
    round: int
    layout: Layout
    contribution: Contribution


class Participant:
    """A site.

    Args:
        place: The site's folder.
        root: The checkout with the workloads.
        folder: Where the rows are.
        client: The way to the coordinator.
        tell: Shows people a line.
    """

    def __init__(
        self, place: SitePlace, root: Path, folder: Path, client: CoordinatorClient, tell: Callable[[str], None]
    ) -> None:
        self._place, self._root, self._folder, self._client, self._tell = place, root, folder, client, tell
        self._training: _Training | None = None
        self._fitted: _Fitted | None = None
        self._secrets: dict[tuple[str, int, int], SiteSecrets] = {}
        self._sent: tuple[tuple[Any, ...], bytes] | None = None
        self._unloadable, self._delivered, self._last_told = "", "", ""

    def run(self, stop: threading.Event) -> None:
        """Do what is asked until `stop` is set.

        Raises:
            PermanentError: the coordinator does not know this site, or speaks another protocol.
        """
        version, wait = "", _FIRST_WAIT
        while not stop.is_set():
            try:
                task, payload = self._client.task(version)
                wait = _FIRST_WAIT
                self._say(task.text)
                self._take_package(task)
                self._do(task, payload)
                version = task.version
            except RetryableError as error:
                self._say(f"waiting for the coordinator: {error}")
                version = ""
                stop.wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    def _do(self, task: Task, payload: bytes) -> None:
        if task.step is None or task.training is None:
            return
        try:
            key = (task.training.digest, task.round, task.attempt, task.step)
            if self._sent is None or self._sent[0] != key:
                self._sent = (key, self._answer(task, task.training, payload))
            self._client.send(task, task.step, self._sent[1])
        except AbstainError as error:
            self._tell(f"round {task.round}: no part in it, {error}")
            self._abstain(task, error.reason)
        except NotTakenError as error:
            if error.is_late:
                self._tell(f"round {task.round} went on without this answer: {error}")
            else:
                self._tell(f"round {task.round}: the coordinator refused the update: {error}")
                self._abstain(task, Reason.REFUSED)

    def _abstain(self, task: Task, reason: Reason) -> None:
        with suppress(NotTakenError):  # raised where the round has gone on by itself
            self._client.abstain(task, reason)

    def _answer(self, task: Task, note: TrainingNote, payload: bytes) -> bytes:
        match task.step:
            case Step.FIT:
                return self._update(note, task, payload)
            case Step.KEYS:
                return self._keys(note, task, payload)
            case Step.SHARES:
                split = self._attempt(note, task).shares(_public(task), task.threshold)
                return pack(Shares(boxes={name: box.hex() for name, box in split.items()}))
            case Step.MASKED:
                return self._masked(note, task)
            case _:
                return self._revealed(note, task)

    # What is sent

    def _update(self, note: TrainingNote, task: Task, payload: bytes) -> bytes:
        fitted = self._fit(note, task, payload)
        given = fitted.contribution
        sums = {name: np.asarray(given.sums[name], np.float64) for name in fitted.layout.shapes}
        header = Update(
            rows=given.rows,
            data_digest=self._data_digest,
            weight=given.weight,
            arrays=specs_of(sums),
            metrics=dict(given.metrics),
        )
        return pack(header, packed_arrays(sums))

    def _keys(self, note: TrainingNote, task: Task, payload: bytes) -> bytes:
        """The keys of an attempt; only where the fit went well, so that who shares masks can send an update."""
        self._fit(note, task, payload)
        context = f"{note.digest}|{task.round}|{task.attempt}".encode()
        secrets = SiteSecrets(self._place.name, context)
        self._secrets = {(note.digest, task.round, task.attempt): secrets}
        return pack(Keys(cipher=secrets.public.cipher.hex(), mask=secrets.public.mask.hex()))

    def _masked(self, note: TrainingNote, task: Task) -> bytes:
        secrets, fitted = self._attempt(note, task), self._fitted
        if fitted is None or (fitted.digest, fitted.round) != (note.digest, task.round):
            raise AbstainError(Reason.RESTARTED, "this site was started again in the middle of it")
        members = _public(task)
        if self._place.name not in task.masking or len(task.masking) < max(task.threshold, note.rules.min_sites):
            raise AbstainError(Reason.REFUSED, "the coordinator asks for a sum of too few sites")
        vector = _with_noise(fitted.layout.vector(fitted.contribution), fitted.layout, note)
        masked = secrets.masked(exact.encode(vector), {name: members[name] for name in task.masking})
        header = MaskedUpdate(rows=fitted.contribution.rows, data_digest=self._data_digest)
        return pack(header, masked.astype("<u8").tobytes())

    def _revealed(self, note: TrainingNote, task: Task) -> bytes:
        boxes = {name: bytes.fromhex(box) for name, box in task.boxes.items()}
        threshold = max(task.threshold, note.rules.min_sites)
        try:
            parts = self._attempt(note, task).reveal(boxes, _public(task), task.summed, task.left, threshold)
        except (MaskError, KeyError) as error:
            raise AbstainError(Reason.REFUSED, str(error)) from None
        return pack(Revealed(parts={name: part.hex() for name, part in parts.items()}))

    def _attempt(self, note: TrainingNote, task: Task) -> SiteSecrets:
        try:
            return self._secrets[note.digest, task.round, task.attempt]
        except KeyError:
            raise AbstainError(Reason.RESTARTED, "this site was started again in the middle of it") from None

    # The fit

    @property
    def _data_digest(self) -> str:
        return self._training.data_digest if self._training is not None else ""

    def _fit(self, note: TrainingNote, task: Task, payload: bytes) -> _Fitted:
        """This site's part of a round, computed once."""
        if self._fitted is not None and (self._fitted.digest, self._fitted.round) == (note.digest, task.round):
            return self._fitted
        training = self._open(note)
        arrays = read_arrays(task.arrays, payload)
        try:
            layout = training.federation.layout(arrays)
            if note.rules.privacy is not None:
                layout = Layout(layout.shapes, ())
            contribution = training.federation.contribution(
                training.table, arrays, note.parameters, task.round, note.rules.privacy
            )
            faults = list(layout.faults(layout.vector(contribution), note.rules.max_norm))
        except Exception as error:
            raise AbstainError(Reason.FIT, f"its fit failed: {type(error).__name__}: {error}") from error
        if faults:
            raise AbstainError(Reason.REFUSED, f"its update cannot be summed: {'; '.join(faults)}")
        self._fitted = _Fitted(note.digest, task.round, layout, contribution)
        figures = "".join(f", {name} {value:.4f}" for name, value in contribution.metrics.items())
        self._tell(f"round {task.round}: fitted on {contribution.rows:,} rows{figures}")
        return self._fitted

    def _open(self, note: TrainingNote) -> _Training:
        """The training with the rows that lie here now; the same for as long as it goes on."""
        if self._training is not None and self._training.note.digest == note.digest:
            return self._training
        code.require(self._root, note)
        try:
            table, digest = rows.read(self._folder, self._place.digest_key())
        except PermanentError as error:
            raise AbstainError(Reason.ROWS, str(error)) from None
        federation = code.load(note)
        self._tell(f"takes part in {note.name} with {len(table):,} rows ({digest[:12]})")
        self._training = _Training(note, federation, table, digest)
        return self._training

    # Packages

    def _take_package(self, task: Task) -> None:
        package = task.package
        if package is None or package.sha256 in (self._unloadable, self._delivered):
            return
        try:
            folder = packages.install(package, self._client, self._place.packages)
            self._client.delivered(package.sha256)
        except PermanentError as error:
            self._unloadable = package.sha256
            self._tell(f"the package is not taken: {error}")
            return
        self._delivered = package.sha256
        self._tell(f"has {package.distribution} {package.version}, in {folder}")

    def _say(self, text: str) -> None:
        if text and text != self._last_told:
            self._last_told = text
            self._tell(text)


def _public(task: Task) -> dict[str, PublicKeys]:
    return {name: PublicKeys(bytes.fromhex(keys.cipher), bytes.fromhex(keys.mask)) for name, keys in task.members.items()}


def _with_noise(vector: Vector, layout: Layout, note: TrainingNote) -> Vector:
    """The vector with this site's share of the noise: those of the fewest sites that may be summed are together all of it."""
    if note.rules.privacy is None:
        return vector
    deviation = note.rules.privacy.noise_multiplier * note.rules.privacy.clip / note.rules.min_sites**0.5
    noisy = vector.copy()
    noisy[: layout.values] += privacy.noise(layout.values, deviation)
    return noisy
