"""Counts what each version answered, from HAProxy's own counters, which begin anew with each start of HAProxy.

Of a traffic plane of several HAProxies each is counted by itself (a part), and added up: so it is all the same which of them
come, go or begin anew, also while no controller is there to see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heliostat.controller.points import MOST_POINTS, Point, stretch, thinned, windows
from heliostat.controller.store import Store
from heliostat.rollout.model import Colour, Observed, State, Window
from heliostat.rollout.show import Gathering
from heliostat.spec.base import Model
from heliostat.spec.endpoints import PartCounts, backend_name
from heliostat.spec.latencies import Counts
from heliostat.spec.routes import PREDICT
from heliostat.systems.haproxy_config import NOBODY

SAMPLE_SECONDS = 1.0
"""Between two samples of a rollout."""
AROUND_SECONDS = 10.0
"""How much of the time before and after a rollout is kept with it."""
_KEPT_VERSIONS = 20
"""Versions of an application that are still told of: a counter that vanishes is no harm, one that each version leaves is."""


_SILENT_SECONDS = 5.0
"""Without a word from a HAProxy, until what it then says may be of versions that were there before."""
_KEPT_PARTS = 64
"""HAProxies of an application whose counters are known; one of before that comes again would count twice."""

_NONE = Counts()


ByRoute = dict[str, Counts]
"""Of `heliostat.spec.routes.ROUTES`; one that was asked for nothing yet is not among them."""


class Part(Model):
    """One HAProxy of several, as it was read last."""

    last: dict[str, ByRoute] = {}
    """Its counters, by colour or `NOBODY`."""
    labels: dict[Colour, str] = {}
    """Of the version that each colour had then: what is heard late counts for that."""


class Counters(Model):
    """What was counted of an application; none of it but `last` ever goes back."""

    last: dict[str, ByRoute] = {}
    """HAProxy's counters, as they were read last, by colour; what no version could answer goes by `NOBODY`, here and below."""
    colours: dict[Colour, ByRoute] = {}
    versions: dict[str, ByRoute] = {}
    """By label, the oldest first."""
    labels: dict[Colour, str] = {}
    """Of the version that each colour has, or had last."""
    parts: dict[str, Part] = {}
    """HAProxies of a plane of several, by name, the one that was heard of last at the end."""


def counted_part(
    before: Counters, name: str, found: Mapping[str, ByRoute], labels: dict[Colour, str], silent: bool = False
) -> Counters:
    """`before` with what one HAProxy of several counted since it was heard of last.

    It may have been `silent` while a colour got another version: what it counted then is none of that one's.
    """
    labels = {**before.labels, **labels}
    part = before.parts.get(name, Part(labels=labels))
    late = {colour for colour, label in part.labels.items() if silent and label != labels.get(colour)}
    after = counted(before.model_copy(update={"last": part.last}), {k: v for k, v in found.items() if k not in late}, labels)
    versions, last = dict(after.versions), dict(after.last)
    for colour in late & found.keys():
        known, label = part.last.get(colour, {}), part.labels[Colour(colour)]
        new = {route: counts.since(known.get(route, _NONE)) for route, counts in found[colour].items()}
        last[colour] = found[colour]
        if label in versions:
            versions[label] = _plus(versions[label], new)
    others = {each: kept for each, kept in before.parts.items() if each != name}
    parts = {**dict([*others.items()][1 - _KEPT_PARTS :]), name: Part(last=last, labels=labels)}
    return after.model_copy(update={"versions": versions, "last": before.last, "parts": parts})


def counted(before: Counters, found: Mapping[str, ByRoute], labels: dict[Colour, str]) -> Counters:
    """`before` with what HAProxy counted since. What a colour answers once it is empty still counts for what it had."""
    labels = {**before.labels, **labels}
    named = {NOBODY: NOBODY} | {colour.value: label for colour, label in labels.items()}
    colours, versions, last = dict(before.colours), dict(before.versions), dict(before.last)
    for side, routes in found.items():
        known = before.last.get(side, {})
        new = {route: counts.since(known.get(route, _NONE)) for route, counts in routes.items()}
        last[side] = {route: counts.no_less_than(known.get(route, _NONE)) for route, counts in routes.items()}
        if side != NOBODY:
            new = {PREDICT: _NONE, **new}  # a counter that is told from the beginning loses none of its first requests
            colours[Colour(side)] = _plus(colours.get(Colour(side), {}), new)
        label = named.get(side)
        if label is not None and new:
            versions[label] = _plus(versions.get(label, {}), new)
    current = {*labels.values(), NOBODY}
    surplus = [label for label in versions if label not in current][: max(0, len(versions) - _KEPT_VERSIONS)]
    kept = {label: counts for label, counts in versions.items() if label not in surplus}
    return Counters(last=last, colours=colours, versions=kept, labels=labels)


def _sides(application: str, counts: Mapping[str, ByRoute]) -> dict[str, ByRoute]:
    """Of both colours and of what no version could answer."""
    sides = (*(colour.value for colour in Colour), NOBODY)
    return {side: counts[name] for side in sides if (name := backend_name(application, side)) in counts}


def _plus(before: ByRoute, new: ByRoute) -> ByRoute:
    return {**before, **{route: before.get(route, _NONE).plus(counts) for route, counts in new.items()}}


def _others(routes: ByRoute) -> int:
    """Requests of all routes but the one that a version is judged by."""
    return sum(counts.requests for route, counts in routes.items() if route != PREDICT)


@dataclass
class _Track:
    """One application."""

    counters: Counters
    rollout: int | None = None
    """The one that the points belong to; None before there was any."""
    points: list[Point] = field(default_factory=list)
    """In the order of time; the last ones of the time before as well."""
    unsaved: list[Point] = field(default_factory=list)
    dirty: bool = False
    saved_at: float = 0.0
    now: Point | None = None
    heard: dict[str, float] = field(default_factory=dict)
    """When each HAProxy of several was heard of last."""
    shape: tuple[object, ...] = ()
    """Of the last pass; a change begins a new stretch."""


class Meter:
    """All applications."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tracks: dict[str, _Track] = {}

    def record(
        self,
        state: State,
        observed: Observed,
        counts: Mapping[str, ByRoute],
        now: float,
        parts: Mapping[str, PartCounts] | None = None,
    ) -> None:
        """Count what happened since the pass before; keeps it in memory only. `parts` are the counts of several HAProxies."""
        track = self._track(state)
        desired = {colour: state.slot(colour).desired for colour in Colour}
        labels = {colour: each.version.label for colour, each in desired.items() if each is not None}
        found = _sides(state.name, counts)
        if any(track.counters.last.get(side) != each for side, each in found.items()):
            track.counters, track.dirty = counted(track.counters, found, labels), True
        for name, each in (parts or {}).items():
            self._record_part(track, name, each, _sides(state.name, each.counts), labels)
        track.heard = {name: each.heard_at for name, each in (parts or {}).items()}
        blue, green = (track.counters.colours.get(colour, {}) for colour in Colour)
        track.now = Point(
            now,
            observed.share,
            blue.get(PREDICT, _NONE),
            green.get(PREDICT, _NONE),
            len(observed.blue.healthy),
            len(observed.green.healthy),
            track.counters.versions.get(NOBODY, {}).get(PREDICT, _NONE).requests,
            _others(blue),
            _others(green),
        )

    def _record_part(
        self, track: _Track, name: str, part: PartCounts, found: dict[str, ByRoute], labels: dict[Colour, str]
    ) -> None:
        before, known = track.heard.get(name), track.counters.parts.get(name)
        if part.heard_at == before:
            return
        now = {**track.counters.labels, **labels}
        if known is None or known.labels != now or any(known.last.get(side) != each for side, each in found.items()):
            silent = before is None or part.heard_at - before > _SILENT_SECONDS
            track.counters, track.dirty = counted_part(track.counters, name, found, labels, silent), True

    def windows(self, state: State, since: float, seconds: float) -> tuple[Window, ...]:
        """What clients' requests showed since `since`, at most over `seconds`, as of the last pass."""
        track = self._track(state)
        return windows(track.points, track.now, since, seconds) if track.now is not None else ()

    def before(self, state: State, found: Gathering) -> Counts | None:
        """What was answered by what served, before the candidate had all traffic."""
        if found.alone_since is None or state.rollout is None:
            return None
        window = stretch(self._track(state).points, found.alone_since, found.seconds)
        return window.counts(state.rollout.candidate.other) if window is not None else None

    def keep(self, state: State, now: float) -> None:
        """Take a sample where one is due, and write what there is to write; slow, so after all that is urgent."""
        track, rollout = self._track(state), state.rollout
        if track.now is None:
            return
        shape = (state.share, rollout and (rollout.number, rollout.phase, rollout.since))
        due = not track.points or now - track.points[-1].at >= SAMPLE_SECONDS
        if not due and shape == track.shape:
            return
        track.shape = shape
        if rollout is not None and rollout.number != track.rollout:
            # The rollout before keeps what it has; this one begins with the last seconds before it.
            track.points = [point for point in track.points if point.at > now - AROUND_SECONDS]
            track.rollout, track.unsaved = rollout.number, list(track.points)
        track.points.append(track.now)
        if rollout is not None and (not rollout.ended or now - rollout.since < AROUND_SECONDS):
            track.unsaved.append(track.now)
        if track.unsaved or now - track.saved_at >= AROUND_SECONDS:
            track.saved_at = now
            self.save(state.name)
        if len(track.points) > MOST_POINTS:
            track.points = thinned(track.points)
            number = track.rollout
            if number is not None:
                self._store.faults.attempt(lambda: self._store.thin(state.name, number, MOST_POINTS))

    def save(self, name: str) -> None:
        """Write what is not written yet of an application; what cannot be stays for the next time."""
        track = self._tracks.get(name)
        if track is None or not (track.unsaved or track.dirty):
            return
        counters = track.counters.model_dump_json()
        if self._store.faults.attempt(lambda: self._store.save_traffic(name, track.rollout, track.unsaved, counters)):
            track.unsaved, track.dirty = [], False
        elif len(track.unsaved) > MOST_POINTS:
            track.unsaved = thinned(track.unsaved)

    def versions(self, name: str) -> dict[str, ByRoute] | None:
        """What each version of an application answered, by label and route; None until the first pass over it."""
        track = self._tracks.get(name)
        if track is None or track.now is None:
            return None
        # What is told may not be lost: a counter that goes back counts twice for who reads it.
        self.save(name)
        return track.counters.versions

    def forget(self, name: str) -> None:
        """An application is gone."""
        self._tracks.pop(name, None)

    def _track(self, state: State) -> _Track:
        found = self._tracks.get(state.name)
        if found is None:
            kept = self._store.counters(state.name)
            counters = Counters.model_validate_json(kept) if kept is not None else Counters()
            number = state.rollout.number if state.rollout is not None else None
            points = list(self._store.points(state.name, number)) if number is not None else []
            found = self._tracks[state.name] = _Track(counters, number if points else None, points)
        return found
