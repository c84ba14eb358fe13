"""A rollout's record as SVG: one time line for documents, and a chart a figure for the report.

Colours are variables, so that one drawing is right on light and on dark paper; text stays text. Matplotlib draws, without
its global state, and is imported by whoever imports this.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from heliostat.cli.rollouts import series
from heliostat.spec.rollouts import Phase, Record, Sample

POINTS = 500
"""Samples that a chart shows at most; more are finer than a screen."""

# Matplotlib wants colours, pages want variables: each sentinel is replaced in the text that it wrote.
# name: (sentinel, light, dark)
PALETTE = {
    "ink": ("#010101", "#1d2433", "#e8ebf2"),
    "muted": ("#010102", "#5b6475", "#9aa5ba"),
    "grid": ("#010103", "#e3e7ee", "#2b3444"),
    "serving": ("#010104", "#0067a5", "#62b5f5"),
    "candidate": ("#010105", "#c2570c", "#f7a34b"),
    "bad": ("#010106", "#c0182e", "#ff7b86"),
    "good": ("#010107", "#1a7f4b", "#4cc38a"),
    "ahead": ("#010108", "#8a94a6", "#7d889c"),
    "look": ("#010109", "#7a5cc4", "#a58bea"),
    "wait": ("#01010a", "#b98900", "#e0b93c"),
}
PHASE_COLOURS = {
    Phase.PENDING: "ahead",
    Phase.STARTING: "ahead",
    Phase.TESTING: "ahead",
    Phase.SHIFTING: "ink",
    Phase.ANALYSING: "look",
    Phase.PAUSED: "wait",
    Phase.WAITING: "wait",
    Phase.RETAINING: "good",
    Phase.RETIRING: "good",
    Phase.SUCCEEDED: "good",
    Phase.ROLLING_BACK: "bad",
    Phase.FAILED: "bad",
    Phase.SUPERSEDED: "bad",
}
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.linewidth": 0.8,
    "axes.labelsize": 9.0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Chart:
    """One drawing: an SVG element to put into a page, and what it shows in words."""

    name: str
    title: str
    description: str
    svg: str


def colour(name: str) -> str:
    """The sentinel of a colour."""
    return PALETTE[name][0]


def draw(record: Record) -> str:
    """One time line as a file of its own: weights, requests and the slowest latencies below each other, phases named."""
    shown = f"{record.application}: a {record.rollout.strategy.kind} rollout"
    parts: list[tuple[Paint, float]] = [(_weights, 1.0), (_rates, 1.0), (_latencies, 1.0)]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.0, 4.9), layout="constrained")
        axes = figure.subplots(len(parts), 1, sharex=True, height_ratios=[share for _, share in parts])
        for number, (axis, (paint, _)) in enumerate(zip(axes, parts, strict=True)):
            _paint(axis, record, paint, names=number == 0, clock=number == len(parts) - 1)
        _key(axes[1])
        return _finished(figure, "timeline", shown, _described(record), alone=True)


def charts(record: Record) -> tuple[Chart, ...]:
    """A chart a figure, for a page."""
    wanted: tuple[tuple[str, str, Paint, tuple[float, float]], ...] = (
        ("weights", "Traffic on the candidate", _weights, (9.6, 2.7)),
        ("requests", "Predictions a second (rejected ones dotted)", _rates, (4.7, 2.3)),
        ("failed", "Failed predictions a second", _failures, (4.7, 2.3)),
        ("latencies", "Latency (p99 solid, p50 dotted)", _latencies, (4.7, 2.3)),
        ("replicas", "Healthy replicas", _replicas, (4.7, 2.3)),
    )
    found = []
    with mpl.rc_context(_STYLE):
        for name, title, paint, size in wanted:
            figure = Figure(figsize=size, layout="constrained")
            _paint(figure.subplots(), record, paint, names=name == "weights", clock=True)
            said = f"{title} of {record.application}, rollout {record.rollout.number}"
            found.append(Chart(name, title, said, _finished(figure, name, title, said, alone=False)))
    return tuple(found)


def variables(*, dark: bool) -> str:
    """The colours as CSS declarations."""
    return "".join(f"--{name}:{tones[2 if dark else 1]};" for name, tones in PALETTE.items())


def _key(axis: Axes) -> None:
    """Which colour is which version."""
    for side, place in (("serving", 0.0), ("candidate", 0.075)):
        axis.text(place, 1.03, side, transform=axis.transAxes, ha="left", va="bottom", fontsize=8, color=colour(side))


Paint = Callable[[Axes, Sequence[Sample], Sequence[float]], None]


def _paint(axis: Axes, record: Record, paint: Paint, *, names: bool, clock: bool) -> None:
    span = series.span_of(record)
    shown = series.thinned(record.samples, POINTS)
    axis.set_xlim(span.begin, span.end)
    _grounds(axis, record, span, names=names)
    paint(axis, shown, [sample.at - span.zero for sample in shown])
    if axis.get_yscale() == "linear" and shown:
        axis.yaxis.set_major_locator(MaxNLocator(4, integer=paint is _replicas))
    axis.grid(True, axis="y", color=colour("grid"), linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines["bottom"].set_color(colour("grid"))
    axis.tick_params(colors=colour("muted"), length=0, labelbottom=clock)
    axis.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 1.5, 2, 3, 5, 6, 10]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock_text(value, span.length)))
    axis.yaxis.label.set_color(colour("muted"))


def _grounds(axis: Axes, record: Record, span: series.Span, *, names: bool) -> None:
    """Phases as shades, named above where there is room; events as fine lines."""
    length, beyond = span.length, span.begin
    for one in series.phases(record.rollout, span.end):
        tone = colour(PHASE_COLOURS[one.phase])
        axis.axvspan(one.begin, max(one.end, one.begin + length / 400), facecolor=tone, alpha=0.10, linewidth=0)
        wide = len(str(one.phase)) * length / 95
        if names and one.begin >= beyond and (one.end - one.begin > wide or one.phase in {Phase.ROLLING_BACK, Phase.FAILED}):
            to_the_left = one.begin + wide > span.end
            where: dict[str, Any] = {"ha": "right" if to_the_left else "left", "va": "bottom", "fontsize": 8, "color": tone}
            axis.text(one.begin, 1.02, str(one.phase), transform=axis.get_xaxis_transform(), **where)
            beyond = one.begin + wide
    for event in record.rollout.events:
        axis.axvline(event.at - record.rollout.started_at, color=colour("muted"), linewidth=0.5, alpha=0.55, dashes=(1, 3))


def _weights(axis: Axes, samples: Sequence[Sample], times: Sequence[float]) -> None:
    axis.set_ylim(0, 100)
    axis.set_ylabel("traffic, %")
    if not samples:
        return _nothing(axis)
    weights = [100 * sample.candidate_weight for sample in samples]
    axis.fill_between(times, 0, weights, step="post", facecolor=colour("candidate"), alpha=0.40, linewidth=0)
    axis.step(times, weights, where="post", color=colour("candidate"))
    return None


def _two(axis: Axes, samples: Sequence[Sample], times: Sequence[float], pick: series.Pick, style: str = "-") -> None:
    for side in ("serving", "candidate"):
        axis.plot(times, series.values(samples, side, pick), style, color=colour(side), label=side)


def _rates(axis: Axes, samples: Sequence[Sample], times: Sequence[float]) -> None:
    axis.set_ylabel("predictions/s")
    if not samples:
        return _nothing(axis)
    _two(axis, samples, times, series.requests)
    if any(one and one.rejected_per_second for sample in samples for one in (sample.candidate, sample.serving)):
        _two(axis, samples, times, series.rejections, ":")
    axis.set_ylim(bottom=0)
    return None


def _failures(axis: Axes, samples: Sequence[Sample], times: Sequence[float]) -> None:
    axis.set_ylabel("failed/s")
    if not samples:
        return _nothing(axis)
    for side in ("serving", "candidate"):
        found = series.values(samples, side, series.failures)
        axis.fill_between(times, 0, found, step="post", facecolor=colour("bad"), alpha=0.25, linewidth=0)
        axis.step(times, found, where="post", color=colour(side))
    unanswered = [sample.unanswered_per_second for sample in samples]
    if any(unanswered):
        axis.fill_between(times, 0, unanswered, step="post", facecolor=colour("bad"), alpha=0.25, linewidth=0)
        axis.step(times, unanswered, where="post", color=colour("bad"), linestyle=":")
    axis.set_ylim(0, max(1.0, axis.get_ylim()[1]))
    return None


def _latencies(axis: Axes, samples: Sequence[Sample], times: Sequence[float]) -> None:
    axis.set_ylabel("latency, ms")
    if not any(one and one.p99_ms for sample in samples for one in (sample.candidate, sample.serving)):
        return _nothing(axis)
    _two(axis, samples, times, series.tail)
    _two(axis, samples, times, series.median, ":")
    found = [value for side in ("serving", "candidate") for value in series.values(samples, side, series.tail) if value > 0]
    if max(found) > 8 * min(found):
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        axis.tick_params(which="minor", length=0)
    else:
        axis.set_ylim(bottom=0)
    return None


def _replicas(axis: Axes, samples: Sequence[Sample], times: Sequence[float]) -> None:
    axis.set_ylabel("replicas")
    if not samples:
        return _nothing(axis)
    for side in ("serving", "candidate"):
        axis.step(times, series.values(samples, side, series.replicas), where="post", color=colour(side))
    axis.set_ylim(0, axis.get_ylim()[1] + 0.5)
    return None


def _nothing(axis: Axes) -> None:
    axis.set_yticks([])
    axis.text(0.5, 0.5, "no figures", transform=axis.transAxes, ha="center", va="center", color=colour("muted"))


def clock_text(seconds: float, length: float) -> str:
    """A moment since the beginning, as exact as the whole length asks for: `45 s`, `2:05`, `1:02:00`, `2d 04h`."""
    if length < 90:
        return f"{seconds:g} s"
    if seconds < 0:
        return f"-{clock_text(-seconds, length)}"
    whole = round(seconds)
    if length < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    if length < 2 * 86400:
        return f"{whole // 3600}:{whole // 60 % 60:02d} h"
    return f"{whole // 86400}d {whole // 3600 % 24:02d}h"


def _described(record: Record) -> str:
    rollout = record.rollout
    steps = "; ".join(f"{event.at - rollout.started_at:.0f} s {event.phase}: {event.message}" for event in rollout.events)
    return f"Traffic, predictions and latency by version over time. {steps}"


_SENTINELS = {tones[0]: f"var(--{name})" for name, tones in PALETTE.items()}
_SENTINEL = re.compile("|".join(_SENTINELS))


def _finished(figure: Figure, name: str, title: str, description: str, *, alone: bool) -> str:
    """The figure as one SVG element, with its title and variables for its colours."""
    figure.patch.set_visible(False)
    for axis in figure.axes:
        axis.patch.set_visible(False)
    text = StringIO()
    with mpl.rc_context({"svg.hashsalt": f"heliostat-{name}"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<defs>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = _SENTINEL.sub(lambda found: _SENTINELS[found[0]], svg)
    svg = re.sub(r"(?: font-family: [^;]*;)", "", svg)
    svg = re.sub(r'<svg xmlns:xlink="[^"]*" width="[^"]*" height="[^"]*"', "<svg", svg, count=1)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg).replace("xlink:href", "href")  # a page holds several
    head = f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-desc">{html.escape(description)}</desc>'
    style = _standalone_style() if alone else ""
    labels = f' role="img" aria-labelledby="{name}-title {name}-desc"'
    return re.sub(r"(<svg[^>]*?)>", lambda found: f"{found[1]}{labels}>{head}{style}", svg, count=1).strip()


def _standalone_style() -> str:
    dark = f"@media (prefers-color-scheme: dark){{svg{{{variables(dark=True)}}}}}"
    shape = "*{stroke-linejoin:round;stroke-linecap:butt}text{font-family:system-ui,sans-serif}"
    return f"<style>svg{{{variables(dark=False)}}}{dark}{shape}</style>"
