import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from browsed import CONTRASTS, browser, needs_chromium
from rollout_records import BEGAN, entry, failed, first, rollout, samples, succeeded, waiting

from heliostat.cli.rollouts import drawing, series
from heliostat.cli.rollouts.report import page
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Phase, Record
from heliostat.spec.strategies import Canary, CanaryStep

ENTRIES = (entry(3, weight=0.1, rollout=7), entry(4, EntryKind.END, rollout=7))
ALL = (succeeded, failed, waiting, first)
NOW = BEGAN + 200
VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    """Checks that elements nest, and keeps what is in the page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.words, self.links = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in {"src", "href", "action", "srcset"}:
                self.links.append(value)
            assert not name.startswith("on"), f"{tag} has a script in {name}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)


@pytest.mark.parametrize("make", ALL)
def test_a_page_is_whole_in_itself_and_well_formed(make):
    html = page(make(), ENTRIES, NOW)
    read = Reader(html)
    assert read.open == []
    assert len(read.ids) == len(set(read.ids)), "every id once, also those of the drawings"
    assert "script" not in read.tags
    assert all(link.startswith(("#", "data:")) for link in read.links), read.links
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", html), "nothing is fetched from anywhere"
    for used in re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^")]+)', html):
        assert set(used.split()) <= set(read.ids)


@pytest.mark.parametrize("make", ALL)
def test_every_drawing_has_a_title_and_colours_for_light_and_dark(make):
    for chart in drawing.charts(make()):
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img"
        assert root.find("{http://www.w3.org/2000/svg}title").text
        assert "#0101" not in chart.svg, "a colour that is no variable"
        assert "var(--" in chart.svg
    html = page(make(), (), NOW)
    assert drawing.variables(dark=False) in html and drawing.variables(dark=True) in html


def test_a_succeeded_rollout_tells_its_result_checks_versions_and_events():
    html = page(succeeded(), ENTRIES, NOW)
    for part in (
        "Succeeded",
        "canary",
        "ada",
        "1f0c9a2b77de",
        "2m52s",
        "9 of 9 checks passed",
        "models:/flights/2",
        "2.94 ms",
    ):
        assert part in html, part
    assert "Why it did not go through" not in html


def test_a_failed_rollout_tells_why_and_escapes_whatever_the_application_said():
    html = page(failed(), ENTRIES, NOW)
    assert "Rolled back" in html
    assert "&lt;script&gt;alert(&#34;x &amp; y&#34;)&lt;/script&gt;" in html
    assert "<script" not in html
    for verdict in ("fail", "inconclusive", "pass"):
        assert f">{verdict}</td>" in html


def test_no_text_of_a_record_gets_into_the_page_or_a_drawing_unescaped():
    evil = '"><img src=x onerror=alert(1)>'
    record = failed()
    going = record.rollout
    going = going.model_copy(
        update={
            "error": evil,
            "from_version": evil,
            "to_version": evil,
            "steps": (evil,),
            "figures": {evil: evil},
            "events": tuple(one.model_copy(update={"message": evil}) for one in going.events),
            "origin": going.origin.model_copy(update={"by": evil, "commit": evil}),
            "analyses": tuple(
                one.model_copy(
                    update={
                        "findings": tuple(
                            f.model_copy(update={"check": evil, "limit": evil, "text": evil}) for f in one.findings
                        )
                    }
                )
                for one in going.analyses
            ),
        }
    )
    record = record.model_copy(update={"rollout": going, "application": evil})
    html = page(record, ENTRIES, NOW)
    assert "<img" not in html
    assert "img" not in Reader(html).tags
    assert "<img" not in drawing.draw(record)


def test_a_rollout_without_samples_events_or_analyses_still_makes_a_page():
    html = page(first(), (), NOW)
    assert html.count("no figures") == 5
    assert "No sample was taken." in html
    bare = rollout(events=(), analyses=(), steps=())
    assert "Nothing yet." in page(Record(application="flights", rollout=bare, samples=()), (), NOW)


def test_one_compact_time_line_is_a_file_of_its_own_and_always_the_same():
    svg = drawing.draw(succeeded())
    assert svg == drawing.draw(succeeded())
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in svg
    assert "retaining" in svg
    assert not re.search(r'(?:href|src)="(?!#)|url\((?!#)', svg)
    assert len(svg) < 100_000


def test_what_nobody_answered_is_drawn_and_told_and_the_worst_of_it_is_kept():
    gap = [
        one.model_copy(update={"unanswered_per_second": 40.0 if number == 77 else 0.0}) for number, one in enumerate(samples())
    ]
    record = Record(application="flights", rollout=succeeded().rollout, samples=tuple(gap))
    html, plain = page(record, (), NOW), page(succeeded(), (), NOW)
    assert "predictions that no version could make" in html
    assert "predictions that no version could make" not in plain
    assert [a.name for a, b in zip(drawing.charts(record), drawing.charts(succeeded()), strict=True) if a != b] == ["failed"]
    assert max(one.unanswered_per_second for one in series.thinned(gap, 20)) == 40.0


def test_a_long_rollout_is_thinned_without_losing_its_failures():
    record = Record(application="flights", rollout=succeeded().rollout, samples=samples(20_000, fails_at=19_000))
    kept = series.thinned(record.samples, drawing.POINTS)
    assert len(kept) <= drawing.POINTS
    worst = max(one.candidate.failed_per_second for one in record.samples)
    assert max(one.candidate.failed_per_second for one in kept) == worst
    assert len(page(record, (), NOW)) < 500_000


def test_phases_follow_each_other_without_a_gap_and_come_back_in_each_step():
    record = succeeded()
    found = series.phases(record.rollout, 175)
    assert found[0].begin == 0
    assert found[-1].end == 175
    assert all(before.end == after.begin for before, after in pairwise(found))
    assert [one.phase for one in found].count(Phase.ANALYSING) == 2


def test_a_rollout_of_days_has_a_readable_axis():
    days = 3 * 86400
    events = tuple(
        one.model_copy(update={"at": BEGAN + number * days / 14}) for number, one in enumerate(succeeded().rollout.events)
    )
    going = rollout(
        events=events, ended_at=BEGAN + days, strategy=Canary(steps=(CanaryStep(weight=1, pause_seconds=days / 3),))
    )
    html = page(Record(application="flights", rollout=going, samples=()), (), NOW)
    assert "3d00h" in html


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
@pytest.mark.parametrize("make", ALL)
def test_a_browser_shows_the_page_without_a_complaint(make, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page(make(), ENTRIES, NOW))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path}/profile", file.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    complaints = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
    assert "</footer>" in ran.stdout


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground_and_paper_has_charts_whole(scheme, tmp_path):
    found = {}
    with browser(tmp_path / "profile") as shown:
        for make in ALL:
            file = tmp_path / f"{make.__name__}.html"
            file.write_text(page(make(), ENTRIES, NOW))
            shown.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])
            shown.show(file, 1280)
            found[make.__name__] = shown.asks(CONTRASTS)
            shown.call("Emulation.setEmulatedMedia", media="print", features=[])
            shown.show(file, 720)
            rights = "[...document.querySelectorAll('svg')].map(each => each.getBoundingClientRect().right)"
            found[f"{make.__name__}, printed"] = [right for right in shown.asks(rights) if right > 720]
    assert {name: each for name, each in found.items() if each} == {}
