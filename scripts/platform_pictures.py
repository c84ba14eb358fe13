"""Draws what each platform makes, from the plans that were reviewed: docs/platforms/KIND.svg.

    python scripts/platform_pictures.py

A box is a component with what is in it, or a part of what runs in the cluster; an arrow leads from what is made before to what
needs it. Boxes stand below each other, so that a telephone shows them as well. A test fails where a picture is stale.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

import yaml

from heliostat.cli.rollouts.drawing import variables

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "docs" / "platforms"
KINDS: Final = ("kubernetes", "aws", "gcp")
SERVICES: Final = "KubernetesServices"
CONTAINERS: Final = frozenset({"KubernetesPlatform", "AwsPlatform", "GcpPlatform", "Underlay", "Foundation"})
"""Components whose components are boxes; what they have besides is a box of its own."""
GUARDS: Final = frozenset({"Namespace", "NetworkPolicy", "Secret", "ServiceAccount"})
"""What the parts in a cluster have of these is there before any pod, so that arrows to all would say nothing."""

WIDTH, GUTTER, LANE, PAD, LINE, GAP = 480, 84, 11, 10, 16, 12
CHARACTERS: Final = 54
"""That a line of a box has room for."""
COLOURS: Final = ("serving", "candidate", "good", "look", "wait", "bad")

Entry = Mapping[str, Any]


@dataclass
class Box:
    """What is drawn as one, and what it is made of."""

    title: str
    inside: Counter[str] = field(default_factory=Counter)
    """How many of each type."""
    needs: set[str] = field(default_factory=set)
    """Titles of the boxes that are made before."""
    protected: bool = False
    """Whether something in it outlives the rest."""


def kind_of(entry: Entry) -> str:
    """The last part of a resource's type."""
    return str(entry["type"]).rpartition(":")[2]


@dataclass(frozen=True)
class Plan:
    """A reviewed plan, its resources by where they belong."""

    entries: Sequence[Entry]

    @cached_property
    def _by_key(self) -> dict[str, Entry]:
        return {f"{each['type']} {each['name']}": each for each in self.entries}

    @cached_property
    def _parents(self) -> set[str]:
        return {each["parent"] for each in self.entries if "parent" in each}

    def _parent(self, entry: Entry) -> Entry | None:
        """Several resources may be called as the parent is: a component is meant, and a role of its own last."""
        named = [each for each in self.entries if each["name"] == entry.get("parent") and each is not entry]
        named.sort(key=lambda each: (not each["type"].startswith("heliostat:"), kind_of(each) == "ServiceRole"))
        return named[0] if named else None

    def _is_component(self, entry: Entry) -> bool:
        return entry["type"].startswith("heliostat:") and entry["name"] in self._parents and kind_of(entry) != "Token"

    def in_cluster(self, entry: Entry) -> bool:
        """Whether it is one of what runs in the cluster."""
        parent = self._parent(entry)
        return parent is not None and kind_of(parent) == SERVICES

    def title(self, entry: Entry) -> str | None:
        """The title of the box that a resource is in; None of what is in none."""
        kind, parent = kind_of(entry), self._parent(entry)
        if entry["type"].startswith("pulumi:") or kind in CONTAINERS:
            return None
        if parent is None:  # of the stack itself
            return words(kind)
        if kind == SERVICES:
            return SERVICES
        if kind == "Token":
            return self._title_of_user(entry)
        if kind_of(parent) == SERVICES:
            labels = entry.get("inputs", {}).get("metadata", {}).get("labels", {})
            if kind == "Namespace":
                return "namespace"
            return str(labels.get("heliostat/part", entry["name"]))
        if kind_of(parent) in CONTAINERS:
            return words(kind if entry["type"].startswith("heliostat:") else kind_of(parent))
        return self.title(parent)

    def _title_of_user(self, token: Entry) -> str | None:
        """A token is where what it is made for is: the secret that is called like it, or else what depends on it first."""
        key = f"{token['type']} {token['name']}"
        users = [each for each in self.entries if key in each.get("dependsOn", ())]
        users = [each for each in users if self.in_cluster(each) == self.in_cluster(token)]
        users.sort(key=lambda each: (each["name"] != token["name"], kind_of(each) != "Secret"))
        return self.title(users[0]) if users else None

    def boxes(self) -> tuple[list[Box], list[Box]]:
        """What is made around what runs in the cluster, with that as one of it; and the parts of that."""
        around: dict[str, Box] = {}
        parts: dict[str, Box] = {}
        for entry in self.entries:
            title = self.title(entry)
            if title is None:
                continue
            within = self.in_cluster(entry)
            box = (parts if within else around).setdefault(title, Box(title))
            if not self._is_component(entry):
                box.inside[kind_of(entry)] += 1
            box.protected |= bool(entry.get("protect"))
            for other in self._needed(entry):
                needed = self.title(other) if within or not self.in_cluster(other) else SERVICES
                if within and not self.in_cluster(other):
                    around.setdefault(SERVICES, Box(SERVICES)).needs |= {needed} if needed else set()
                elif needed and needed != title and not (within and kind_of(other) in GUARDS | {"Token"}):
                    box.needs.add(needed)
        return ordered(around), ordered(parts)

    def _needed(self, entry: Entry) -> Iterator[Entry]:
        return (self._by_key[key] for key in entry.get("dependsOn", ()))


def words(kind: str) -> str:
    """`BaseAddons` as `Base addons`."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f" {found[1].lower()}", kind)


def ordered(boxes: Mapping[str, Box]) -> list[Box]:
    """The boxes, each after what it needs, and without the needs that follow from others."""
    graph = {title: box.needs & boxes.keys() for title, box in sorted(boxes.items())}
    before: dict[str, set[str]] = {}
    for title in TopologicalSorter(graph).static_order():
        before[title] = set().union(*(before[each] | {each} for each in graph[title]), set())
    order = sorted(before, key=lambda title: (SERVICES in before[title]) + (SERVICES in before[title] | {title}))
    for title in order:
        boxes[title].needs = {each for each in graph[title] if not any(each in before[other] for other in graph[title])}
    return [boxes[title] for title in order]


@dataclass(frozen=True)
class Placed:
    """A box with its place, in units of the drawing."""

    box: Box
    top: int
    height: int
    lines: tuple[str, ...]
    indent: int = 0


def place(around: Sequence[Box], parts: Sequence[Box]) -> list[Placed]:
    """Each box below the one before it; the cluster's parts below the head of what runs in it."""
    found: list[Placed] = []
    top = GAP
    shown = [each for box in around for each in ((box, 0), *((part, 1) for part in parts if box.title == SERVICES))]
    for box, indent in shown:
        inside = ", ".join(
            f"{count}\N{NO-BREAK SPACE}{kind}" if count > 1 else kind for kind, count in sorted(box.inside.items())
        )
        if box.title == SERVICES:
            inside = f"{sum(each.inside.total() for each in parts)} resources, below"
        lines = tuple(textwrap.wrap(inside, CHARACTERS - 2 * indent, break_long_words=False))
        foot = 0 if box.title == SERVICES else PAD
        height = max(PAD + LINE * (1 + len(lines)) + foot, PAD + foot + 9 * len(box.needs))
        found.append(Placed(box, top, height, lines, indent))
        top += height + GAP
    return found


def lanes(placed: Sequence[Placed]) -> dict[str, int]:
    """The lane beside the boxes that the arrows of each box go down in; the shortest way is the nearest."""
    rows = {each.box.title: row for row, each in enumerate(placed)}
    ends = {need: max(rows[each.box.title] for each in placed if need in each.box.needs) for need in _sources(placed)}
    taken: list[list[range]] = []
    found: dict[str, int] = {}
    for title in sorted(ends, key=lambda each: (ends[each] - rows[each], rows[each])):
        way = range(rows[title], ends[title] + 1)
        lane = next((at for at, ways in enumerate(taken) if not any(_meet(way, other) for other in ways)), len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append(way)
        found[title] = lane
    return found


def _sources(placed: Sequence[Placed]) -> list[str]:
    return sorted({need for each in placed for need in each.box.needs})


def _meet(one: range, other: range) -> bool:
    return one.start <= other.stop - 1 and other.start <= one.stop - 1


def draw(kind: str, plan: Plan) -> str:
    """The picture as an SVG of its own."""
    around, parts = plan.boxes()
    placed = place(around, parts)
    height = placed[-1].top + placed[-1].height + GAP
    title = f"What the platform {kind} makes"
    said = "; ".join(
        f"{_shown(each.box.title)}" + (f" after {', '.join(sorted(map(_shown, each.box.needs)))}" if each.box.needs else "")
        for each in placed
    )
    style = f"svg{{{variables(dark=False)}}}@media (prefers-color-scheme: dark){{svg{{{variables(dark=True)}}}}}"
    fonts = "text{font-family:system-ui,sans-serif;font-size:12px;fill:var(--muted)}.title{font-size:14px;fill:var(--ink)}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH * 4 // 3}" '
        f'height="{height * 4 // 3}" role="img" aria-labelledby="title desc">'
        f'<title id="title">{html.escape(title)}</title><desc id="desc">{html.escape(said)}</desc>'
        f"<style>{style}{fonts}</style>"
    )
    return "\n".join([head, *_frame(placed), *_arrows(placed), *_drawn(placed), "</svg>\n"])


def _shown(title: str) -> str:
    return "What runs in the cluster" if title == SERVICES else title


def _frame(placed: Sequence[Placed]) -> Iterator[str]:
    """The line around what runs in the cluster."""
    head = next(each for each in placed if each.box.title == SERVICES)
    last = [each for each in placed if each.indent][-1]
    height = last.top + last.height - head.top + GAP // 2
    yield _rect(GUTTER, head.top, WIDTH - GUTTER - 4, height, ' stroke-dasharray="3 3"')


def _rect(x: int, y: int, width: int, height: int, more: str = "") -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="none" stroke="var(--ahead)"{more}/>'


def _drawn(placed: Sequence[Placed]) -> Iterator[str]:
    for each in placed:
        left = GUTTER + 10 * each.indent
        if each.box.title != SERVICES:
            yield _rect(left, each.top, WIDTH - 4 - left - 8 * each.indent, each.height)
        y = each.top + PAD + 10
        yield f'<text class="title" x="{left + PAD}" y="{y}">{html.escape(_shown(each.box.title))}</text>'
        if each.box.protected:
            yield f'<text x="{WIDTH - 4 - PAD}" y="{y}" text-anchor="end">protected</text>'
        for number, line in enumerate(each.lines, 1):
            yield f'<text x="{left + PAD}" y="{y + LINE * number}">{html.escape(line)}</text>'


def _arrows(placed: Sequence[Placed]) -> Iterator[str]:
    """From the foot of a box down its lane, and into the head of each that needs it."""
    lane_of = lanes(placed)
    at = {each.box.title: each for each in placed}
    for title, lane in sorted(lane_of.items(), key=lambda item: item[1]):
        source, x = at[title], GUTTER - 14 - LANE * lane
        tone = f"var(--{COLOURS[lane % len(COLOURS)]})"
        begin = source.top + source.height - 8
        left = GUTTER + 10 * source.indent
        yield f'<circle cx="{left}" cy="{begin}" r="3" fill="{tone}"/>'
        for target in placed:
            if title in target.box.needs:
                y = target.top + PAD + 9 * sorted(target.box.needs).index(title) + 2
                tip = GUTTER + 10 * target.indent
                path = f"M{left} {begin}H{x + 4}Q{x} {begin} {x} {begin + 4}V{y - 4}Q{x} {y} {x + 4} {y}H{tip - 5}"
                yield f'<path d="{path}" fill="none" stroke="{tone}" stroke-width="1.4"/>'
                yield f'<path d="M{tip} {y}l-7 -3.5v7z" fill="{tone}"/>'


def reviewed(kind: str) -> Plan:
    """The plan of a platform that was reviewed."""
    file = ROOT / "tests" / "platforms" / "golden" / f"{kind}.yaml"
    return Plan(yaml.load(file.read_text(), yaml.CSafeLoader))


def pictures() -> dict[Path, str]:
    """Each picture, by where it belongs."""
    return {TARGET / f"{kind}.svg": draw(kind, reviewed(kind)) for kind in KINDS}


if __name__ == "__main__":
    for path, text in pictures().items():
        path.write_text(text)
