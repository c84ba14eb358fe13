"""What `rollout status` and `watch` show on terminals of different widths: figures are never cut."""

import io
import re

import pytest
from rich.console import Console
from rollout_records import BEGAN, failed, measured, rollout, status, waiting

from heliostat.cli.rollouts.view import Look, picture
from heliostat.spec.rollouts import Sample

LONG = rollout(from_version="117-0abcdef1", to_version="118-1fedcba0", candidate_weight=0.0125, phase="analysing")
BUSY = Sample(
    at=BEGAN,
    candidate_weight=0.0125,
    candidate=measured(2, 15.2, failed=0.101, p50=103.4, p99=1234.5),
    serving=measured(12, 1184.8, failed=12.3, p50=9.87, p99=61.25),
)


def drawn(width, going=LONG, sample=BUSY):
    console = Console(file=io.StringIO(), width=width, height=24, color_system=None, highlight=False)
    console.print(picture(status(rollout=going), sample, BEGAN + 60, Look(short=True)))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def traffic(width, *given):
    lines = drawn(width, *given)
    at = next(number for number, line in enumerate(lines) if line.startswith("  serving"))
    return lines[at - 1], lines[at], lines[at + 1]


@pytest.mark.parametrize("width", [160, 120, 100, 80, 70, 60, 40])
def test_weights_and_versions_are_whole_at_every_width(width):
    _, serving, candidate = traffic(width)
    assert re.search(r"98\.75 % .*117-0abcdef1$", serving), serving
    assert re.search(r" 1\.25 % .*118-1fedcba0$", candidate), candidate
    assert max(map(len, drawn(width))) <= width
    assert "…" not in "".join(traffic(width))


def test_the_bar_is_the_first_to_give_way():
    bars = {width: traffic(width)[1].count("█") + traffic(width)[1].count("░") for width in (160, 90, 80, 60)}
    assert bars[160] == 24
    assert 24 > bars[90] > bars[80] >= 5
    assert bars[60] == 0


def test_at_eighty_columns_every_figure_is_there():
    head, serving, candidate = traffic(80)
    for name in ("traffic", "replicas", "pred/s", "failed/s", "p50", "p99", "version"):
        assert name in head
    for figure in ("12", "1,185", "12.3", "9.87 ms", "61.2 ms"):
        assert figure in serving.split("%")[1]
    for figure in ("103 ms", "1,234 ms"):
        assert figure in candidate


def test_at_sixty_columns_the_bar_and_the_median_are_left_out_and_the_rest_is_there():
    head, serving, candidate = traffic(60)
    assert "p50" not in head
    assert "failed/s" in head
    assert "p99" in head
    assert "61.2 ms" in serving
    assert "1,234 ms" in candidate
    assert "█" not in serving


@pytest.mark.parametrize("width", [80, 60])
def test_without_figures_and_after_the_end_it_is_whole_too(width):
    _, serving, candidate = traffic(width, waiting().rollout, None)
    assert "25 %" in serving
    assert candidate.endswith("2-00000002")
    _, settled, after = traffic(width, failed().rollout, None)
    assert settled.endswith("1-00000001")
    assert "candidate" not in after
