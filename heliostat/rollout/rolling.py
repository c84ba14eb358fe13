"""Rolling: replicas move from one colour to the other a share at a time, and the traffic follows them.

The way back is the same with the colours changed round: what is left of the old version would break under all the traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from heliostat.rollout.model import Admission, Colour, Observed, Progress, State
from heliostat.rollout.shares import least_healthy, only, share_between
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import Rolling, Strategy


@dataclass(frozen=True)
class Move:
    """From `to.other` to `to`, until `total` replicas are there."""

    to: Colour
    total: int
    surge: int
    batch: int
    floor: int


def move(strategy: Rolling, to: Colour, total: int) -> Move:
    """The move that `strategy` makes."""
    floor = least_healthy(strategy, total)
    # On the way back the total may be one that the strategy was not declared for, and with which nothing could move.
    surge = strategy.max_surge if floor < total else max(strategy.max_surge, 1)
    return Move(to, total, surge, ceil(strategy.percentage * total / 100), floor)


def move_of(rollout: Progress) -> Move:
    """The move of a rolling update.

    Raises:
        TypeError: it does not roll.
    """
    if not isinstance(rollout.strategy, Rolling):
        raise TypeError(f"a rollout by {rollout.strategy.kind} does not roll")
    return move(rollout.strategy, rollout.candidate, rollout.target.replicas)


def batches(strategy: Rolling, total: int, before: int) -> tuple[int, ...]:
    """How many replicas have moved after each batch, where `before` ones serve and all goes well."""
    way = move(strategy, Colour.BLUE, total)
    sizes: list[int] = []
    to, away = 0, before
    while to < total:
        room = total + way.surge - to - away
        if room <= 0:
            away = max(0, away - max(1, min(way.batch - room, to + away - way.floor)))
            continue
        to = min(total, to + min(way.batch, room))
        sizes.append(to)
        if way.surge:
            away = max(0, min(away, total - to))
    return tuple(sizes)


def first_batch(state: State, way: Move, observed: Observed) -> tuple[State, int]:
    """The first replicas; 0 while there is no room for any, and the others give way first."""
    away = way.to.other
    room = _room(state, way)
    if room <= 0:
        seen = observed.seen(away)
        if len(seen.running) > state.slot(away).replicas:
            return state, 0
        going = max(0, min(way.batch - room, len(seen.usable) - way.floor, state.slot(away).replicas - 1))
        return state.with_slot(away, replicas=state.slot(away).replicas - going), 0
    if len(observed.seen(away).running) > state.slot(away).replicas:
        return state, 0
    return state, min(way.batch, way.total, room)


def advance(state: State, way: Move, observed: Observed) -> State:
    """Let traffic follow the replicas; once a batch has come and another has gone, begin the next."""
    to, away = way.to, way.to.other
    usable, slot, leaving = len(observed.seen(to).usable), state.slot(to), state.slot(away).replicas
    state = state.but(share=follow(way, observed))
    if usable < slot.replicas or len(observed.seen(away).running) > leaving or usable >= way.total:
        return state
    going = _may_go(state, way, observed)
    if going > 0 and going >= leaving:
        # Without surge the last one goes before the last one comes; it goes with its colour.
        return only(state, observed, to)
    if going > 0:
        return state.with_slot(away, replicas=leaving - going)
    coming = min(way.batch, way.total - slot.replicas, _room(state, way))
    return state.with_slot(to, replicas=slot.replicas + coming) if coming > 0 else state


def follow(way: Move, observed: Observed) -> int:
    """The share of green with which the traffic is where the replicas are; all of it once all have come."""
    return way.to.full_share if len(observed.seen(way.to).usable) >= way.total else share_between(observed, way.to)


def arrived(state: State, way: Move, observed: Observed) -> bool:
    """Whether the present batch answers and has its share of the traffic."""
    enough = len(observed.seen(way.to).usable) >= state.slot(way.to).replicas
    return enough and observed.share == state.share == follow(way, observed)


def complete(state: State, way: Move, observed: Observed) -> bool:
    """Whether every replica has come and nothing goes to the other colour any more."""
    enough = len(observed.seen(way.to).usable) >= way.total
    return enough and observed.share == state.share == way.to.full_share


def go_home(state: State, observed: Observed, home: Colour, previous: Desired, strategy: Strategy, patient: bool) -> State:
    """Give `home`, which runs `previous`, its replicas and all traffic back, and put the other colour away.

    Traffic goes first, and at once, where `home` can bear it. Where a rolling update took its replicas, they come back as
    they went, and the other colour's healthy ones, which answered their golden requests rightly, share the work while
    `patient`.
    """
    slot, seen, rest = state.slot(home), observed.seen(home), observed.seen(home.other)
    floor = least_healthy(strategy, previous.replicas)
    helps = state.slot(home.other).desired is not None and rest.usable and patient and len(seen.usable) < floor
    if not isinstance(strategy, Rolling) or not helps:
        state = state.with_slot(home, desired=previous, replicas=previous.replicas, access=Admission.OPEN)
        # Rather to a candidate that answers badly than to nobody.
        lonely = not seen.usable and rest.usable and patient
        return state if lonely else only(state, observed, home)
    state = state.with_slot(home.other, replicas=min(state.slot(home.other).replicas, len(rest.usable)))
    way = move(strategy, home, previous.replicas)
    if slot.desired is not None:
        return advance(state.with_slot(home, access=Admission.OPEN), way, observed)
    state, replicas = first_batch(state, way, observed)
    if replicas == 0:
        return state
    return state.with_slot(home, desired=previous, replicas=replicas, access=Admission.OPEN)


def _room(state: State, way: Move) -> int:
    """Replicas that may be started beside those that were asked for."""
    return way.total + way.surge - state.slot(way.to).replicas - state.slot(way.to.other).replicas


def _may_go(state: State, way: Move, observed: Observed) -> int:
    """Replicas of the other colour that may be stopped now."""
    leaving, usable = state.slot(way.to.other).replicas, len(observed.seen(way.to).usable)
    safe = usable + min(leaving, len(observed.seen(way.to.other).usable)) - way.floor
    if way.surge > 0:
        return min(usable + leaving - way.total, safe)
    if _room(state, way) > 0:
        return 0
    return min(way.batch, safe, leaving)
