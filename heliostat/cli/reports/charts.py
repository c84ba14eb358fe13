"""Lines over windows, as one SVG each: values with their intervals, beside a limit. Pure; colours are the page's variables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 640, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 12, 16, 34
_TICKS: Final = 4
_MOST_DIGITS: Final = 6
_CHARACTER: Final = 12.0
"""How wide one of a name is at most: on a phone, where they are largest."""
_NAME_ROOM: Final = 1.6
"""How far apart names are, in lengths of a name."""


@dataclass(frozen=True)
class Point:
    """A value of one window."""

    window: str
    value: float
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    is_wrong: bool = False
    opposite: float | None = None
    """The limit on the other side of the value, where it has two."""


def both_sides(points: Sequence[Point]) -> list[Point]:
    """Values around 1 that have a limit on each side of it: a finding names the one that is near to its value, and the other
    one is that of the nearest window that names it."""

    def nearest(place: int, is_above: bool) -> float | None:
        found = [
            (abs(other - place), point.limit)
            for other, point in enumerate(points)
            if point.limit is not None and point.limit != 1 and (point.limit > 1) is is_above
        ]
        return min(found, key=lambda pair: pair[0])[1] if found else None

    return [
        point if point.limit is None or point.limit == 1 else replace(point, opposite=nearest(place, point.limit < 1))
        for place, point in enumerate(points)
    ]


def chart(points: Sequence[Point], title: str) -> str:
    """The drawing of some windows, the oldest first; empty without any."""
    if not points:
        return ""
    numbers = [each for point in points for each in _numbers(point) if each is not None]
    low, high = min(numbers), max(numbers)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 0.5
    step = _step((high - low + 2 * room) / _TICKS)
    low, high = math.floor((low - room) / step) * step, math.ceil((high + room) / step) * step
    axis = _Axis(low, high, len(points), step)
    parts = [*_grid(axis), *_names(axis, points), *_limits(axis, points)]
    parts += _intervals(axis, points)
    line = " ".join(f"{axis.x(place):.1f},{axis.y(point.value):.1f}" for place, point in enumerate(points))
    parts.append(f'<polyline points="{line}" fill="none" stroke="var(--serving)" stroke-width="2"/>')
    for place, point in enumerate(points):
        told = escape(f"{point.window}: {point.value:.4g}")
        parts.append(_mark(axis.x(place), axis.y(point.value), point.is_wrong, f"<title>{told}</title>"))
    wrong = [point.window for point in points if point.is_wrong]
    last = points[-1]
    described = f"{title}: {last.value:.4g} in {last.window}" + (f"; beyond its limit in {', '.join(wrong)}" if wrong else "")
    body = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(described)}">{body}</svg>'


def _numbers(point: Point) -> tuple[float | None, ...]:
    return point.value, point.low, point.high, point.limit, point.opposite


def _mark(x: float, y: float, is_wrong: bool, inside: str) -> str:
    """A point; one that is wrong has another form as well as another colour."""
    if not is_wrong:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="var(--serving)">{inside}</circle>'
    corners = f"{x:.1f},{y - 6:.1f} {x + 6:.1f},{y:.1f} {x:.1f},{y + 6:.1f} {x - 6:.1f},{y:.1f}"
    return f'<polygon points="{corners}" fill="var(--bad)">{inside}</polygon>'


def _step(least: float) -> float:
    """The least step of an axis that is 1, 2, or 5 times a power of ten and not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least * (1 - 1e-9))


class _Axis:
    def __init__(self, low: float, high: float, count: int, step: float) -> None:
        self.low, self.high, self.count, self.step = low, high, count, step

    def x(self, place: float) -> float:
        """Of a window's place."""
        inside = _WIDTH - _LEFT - _RIGHT
        return _LEFT + inside / 2 if self.count == 1 else _LEFT + inside * place / (self.count - 1)

    def y(self, value: float) -> float:
        """Of a value."""
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - value) / (self.high - self.low)


def _grid(axis: _Axis) -> list[str]:
    parts = []
    for number in range(round((axis.high - axis.low) / axis.step) + 1):
        value = round(axis.low / axis.step + number) * axis.step
        y = axis.y(value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--edge)"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end" class="tick">{_tick(value, axis.step)}</text>')
    return parts


def _tick(value: float, step: float) -> str:
    """With the digits of the step, or as many as there is room for."""
    told = f"{value + 0.0:.{max(0, -math.floor(math.log10(step)))}f}"
    return (
        told
        if len(told) <= _MOST_DIGITS
        else next((text for digits in (3, 2) if len(text := f"{value:.{digits}g}") <= _MOST_DIGITS), f"{value:.1g}")
    )


def _names(axis: _Axis, points: Sequence[Point]) -> list[str]:
    every = _every(points)
    shown = [(place, point) for place, point in enumerate(points) if (len(points) - 1 - place) % every == 0]
    foot = _HEIGHT - _BOTTOM
    found = [
        f'<line x1="{axis.x(place):.1f}" x2="{axis.x(place):.1f}" y1="{foot}" y2="{foot + 4}" stroke="var(--muted)"/>'
        for place in range(len(points))
    ]
    for place, point in shown:
        anchor = "start" if place == 0 and len(points) > 1 else "end" if place == len(points) - 1 and place else "middle"
        x = axis.x(place)
        found.append(f'<text x="{x:.1f}" y="{_HEIGHT - 9}" text-anchor="{anchor}" class="tick">{escape(point.window)}</text>')
    return found


def _every(points: Sequence[Point]) -> int:
    """Of how many windows one is named, the newest always: names do not run into each other, of which the outer ones reach
    inwards as a whole."""
    needed = _NAME_ROOM * _CHARACTER * max(len(point.window) for point in points)
    apart = (_WIDTH - _LEFT - _RIGHT) / max(1, len(points) - 1)
    return max(1, math.ceil(needed / apart))


def _limits(axis: _Axis, points: Sequence[Point]) -> list[str]:
    """Limits as steps, for a version brings its own."""
    parts = []
    for place, point in enumerate(points):
        begin, end = (axis.x(max(0.0, min(len(points) - 1.0, place + side))) for side in (-0.5, 0.5))
        for limit in (point.limit, point.opposite):
            if limit is not None:
                y = axis.y(limit)
                parts.append(f'<line x1="{begin:.1f}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="limit"/>')
    return parts


def _intervals(axis: _Axis, points: Sequence[Point]) -> list[str]:
    return [
        f'<line x1="{axis.x(place):.1f}" x2="{axis.x(place):.1f}" y1="{axis.y(point.low):.1f}" '
        f'y2="{axis.y(point.high):.1f}" stroke="var(--serving)" stroke-width="6" opacity=".25"/>'
        for place, point in enumerate(points)
        if point.low is not None and point.high is not None
    ]
