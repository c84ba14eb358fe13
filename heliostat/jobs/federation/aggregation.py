"""From what sites sent to the next parameters: pure but for the noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliostat.federated import exact, masks, privacy
from heliostat.federated.contributions import Arrays, Layout, Vector
from heliostat.federated.messages import Keys, MaskedUpdate, Revealed, TrainingNote, Update, unpack
from heliostat.jobs.federation.journal import RoundRecord, SiteRecord
from heliostat.jobs.federation.refusals import vector_of, words_of
from heliostat.ml.federated import Federation
from heliostat.spec.federated import FederatedRules
from heliostat.systems.errors import PermanentError


@dataclass(frozen=True)
class Aggregation:
    """What sites sent in a round, as it came."""

    sent: Mapping[str, bytes]
    """Updates, or masked ones, by site."""
    context: bytes = b""
    members: Mapping[str, Keys] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    revealed: Mapping[str, bytes] = field(default_factory=dict)
    masked: bool = False

    @property
    def sites(self) -> tuple[str, ...]:
        """Whose updates are summed."""
        return tuple(self.sent)


def layout_of(federation: Federation, arrays: Arrays, rules: FederatedRules) -> Layout:
    """The layout of a round's vectors; where there is privacy no metric travels, for it would tell of rows without noise."""
    layout = federation.layout(arrays)
    return layout if rules.privacy is None else Layout(layout.shapes, ())


def closed(
    found: Aggregation,
    federation: Federation,
    arrays: Arrays,
    layout: Layout,
    note: TrainingNote,
    round_: int,
    left_out: dict[str, str],
) -> tuple[RoundRecord, dict[str, NDArray[Any]]]:
    """The record of a round, and the parameters after it.

    Raises:
        PermanentError: they are not finite any more.
    """
    rules = note.rules
    vector = _unmasked(found) if found.masked else exact.total(_vectors(found, layout))
    sums, weight, metrics = layout.read(vector)
    if rules.privacy is not None and not found.masked:
        # Masked updates bring their share of it along.
        deviation = rules.privacy.noise_multiplier * rules.privacy.clip
        sums = {name: array + privacy.noise(array.size, deviation).reshape(array.shape) for name, array in sums.items()}
    after = {name: np.asarray(array) for name, array in federation.combined(arrays, sums, weight, note.parameters).items()}
    if wrong := [name for name, array in after.items() if not np.all(np.isfinite(array))]:
        raise PermanentError(
            f"after round {round_} the parameters {', '.join(wrong)} of {note.name} are not finite: let sites move less in a "
            "round (a lower learning rate, a lower maxNorm)"
        )
    sites = {name: _site(body, found.masked) for name, body in found.sent.items()}
    rows = sum(site.rows for site in sites.values())
    moved = max((float(np.max(np.abs(after[name] - arrays[name]), initial=0.0)) for name in after), default=0.0)
    last = round_ >= rules.rounds or (rules.tolerance is not None and moved <= rules.tolerance)
    means = {name: value / rows for name, value in metrics.items()}
    record = RoundRecord(round=round_, sites=sites, left_out=left_out, metrics=means, moved=moved, last=last, arrays={})
    return record, after


def _site(body: bytes, masked: bool) -> SiteRecord:
    if masked:
        header, _ = unpack(MaskedUpdate, body)
        return SiteRecord(rows=header.rows, data_digest=header.data_digest)
    update, _ = unpack(Update, body)
    return SiteRecord(rows=update.rows, data_digest=update.data_digest, metrics=update.metrics)


def _vectors(found: Aggregation, layout: Layout) -> list[Vector]:
    return [vector_of(*unpack(Update, body), layout) for body in found.sent.values()]


def _unmasked(found: Aggregation) -> Vector:
    total = reduce(exact.add, (words_of(body) for body in found.sent.values()))
    members = {
        name: masks.PublicKeys(bytes.fromhex(keys.cipher), bytes.fromhex(keys.mask)) for name, keys in found.members.items()
    }
    revealed = {
        name: {owner: bytes.fromhex(part) for owner, part in unpack(Revealed, body)[0].parts.items()}
        for name, body in found.revealed.items()
    }
    return exact.decode(masks.unmasked(total, found.context, members, found.sites, found.left, revealed))
