import json

import pytest

from heliostat.rollout.model import Colour
from heliostat.spec.endpoints import Endpoint, EndpointState, TrafficSnapshot
from heliostat.spec.rollouts import BlockedVersion, Phase, Rollout, Status
from heliostat.spec.strategies import BlueGreen
from heliostat.systems.ray_serve import ServeApplication, ServeInstance, ServeStatus
from tests.faults import records as kept
from tests.faults.agreement import Expected, Facts, compare
from tests.faults.load import Sent, noticed
from tests.faults.outcome import Outcome
from tests.faults.records import Records, markdown, short, sources
from tests.faults.table import SCENES, Cell, Kind, Moment, State, cells, promise

REFUSED = (BlockedVersion(fingerprint="0" * 64, identity="2/1", label="2-new", rollout=7, at=0.0, reason="aborted"),)
EXPECTED = Expected(number=7, old="1-old", new="2-new", rolls_back=False)


def rollout(phase=Phase.SUCCEEDED, number=7, **changes):
    values = {
        "number": number, "phase": phase, "started_at": 0.0, "from_version": "1-old", "to_version": "2-new",
        "strategy": BlueGreen(), "candidate_weight": 1.0, "events": (),
    }  # fmt: skip
    return Rollout(**{**values, **changes})


class Label:
    """Stands for a version: only its label is looked at."""

    def __init__(self, label):
        self.label = label


def facts(phase=Phase.SUCCEEDED, serves="2-new", colour=Colour.GREEN, ends=1, usable=2, refused=(), colours=None, number=7):
    status = Status.model_construct(
        name="tiny", desired=None, serving=Label(serves) if serves else None, healthy_replicas=usable,
        rollout=rollout(phase, number), refused=refused, url="",
    )  # fmt: skip
    apps = {}
    for each in colours or [colour]:
        apps[f"tiny-{each}"] = ServeApplication(
            name=f"tiny-{each}", status=ServeStatus.RUNNING, error="", config={"args": {"version": {"label": serves}}},
            deployments={"model": 2}, replicas=tuple(Endpoint(f"r{n}", "127.0.0.1", 1 + n) for n in range(2)), leftover=0,
        )  # fmt: skip
    servers = {
        f"r{n}": EndpointState(
            Endpoint(f"r{n}", "127.0.0.1", 1 + n), usable=n < usable, answers=True, draining=False, in_flight=0
        )
        for n in range(2)
    }
    backends = {f"tiny-{colour}": servers, f"tiny-{colour.other}": {}}
    return Facts(status, ends, ServeInstance(apps), TrafficSnapshot(backends, {"tiny": colour.full_share}))


def test_what_agrees_has_no_differences():
    assert list(compare(facts(), EXPECTED)) == []


def test_a_rollout_that_was_given_up_agrees_with_the_old_version_and_a_refusal():
    found = facts(Phase.FAILED, serves="1-old", colour=Colour.BLUE, refused=REFUSED)
    assert list(compare(found, EXPECTED)) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"number": 8}, "the newest rollout is 8, not 7"),
        ({"ends": 2}, "with 2 ends"),
        ({"phase": Phase.SHIFTING}, "is shifting"),
        ({"serves": "1-old"}, "1-old serves, 2-new should"),
        ({"serves": None}, "None serves"),
        ({"usable": 1}, "1 usable replicas of green"),
        ({"colours": [Colour.BLUE, Colour.GREEN]}, "one colour should be there"),
        ({"colours": [Colour.BLUE]}, "HAProxy's share of green is 10000, blue should have all"),
        ({"refused": REFUSED}, "is refused from now on"),
    ],
)
def test_each_disagreement_is_told(changes, text):
    assert any(text in line for line in compare(facts(**changes), EXPECTED)), list(compare(facts(**changes), EXPECTED))


def test_an_aborted_rollout_must_not_succeed():
    expected = Expected(number=7, old="1-old", new="2-new", rolls_back=True)
    assert any("aborted" in line for line in compare(facts(), expected))


def test_what_was_aborted_must_be_refused_from_now_on():
    expected = Expected(number=7, old="1-old", new="2-new", rolls_back=True)
    found = facts(Phase.FAILED, serves="1-old", colour=Colour.BLUE)
    assert list(compare(found, expected)) == ["the candidate is not refused from now on, though the rollout failed"]


def test_what_failed_by_itself_need_not_be_refused():
    assert list(compare(facts(Phase.FAILED, serves="1-old", colour=Colour.BLUE), EXPECTED)) == []


def test_every_strategy_and_every_kind_is_in_the_table():
    names = [cell.name for cell in cells()]
    assert len(names) == len(set(names))
    assert {cell.strategy for cell in cells()} == {"recreate", "rolling", "blue-green", "canary", "shadow"}
    assert {cell.kind for cell in cells()} == set(Kind)
    assert all(scenes[state].strategy.kind == strategy for strategy, scenes in SCENES.items() for state in scenes)


def test_a_rollout_that_is_to_roll_back_is_aborted_before():
    for strategy, scenes in SCENES.items():
        for state in scenes:
            assert Cell(Kind.CONTROLLER, strategy, state).rolls_back == (state is State.ROLLING_BACK)


def test_a_moment_is_a_phase_and_where_named_its_step():
    assert Moment(Phase.ANALYSING).is_now(rollout(Phase.ANALYSING, step=3))
    assert Moment(Phase.ANALYSING, 1).is_now(rollout(Phase.ANALYSING, step=1))
    assert not Moment(Phase.ANALYSING, 1).is_now(rollout(Phase.ANALYSING, step=0))
    assert not Moment(Phase.ANALYSING).is_now(rollout(Phase.PAUSED))


def test_only_a_dead_head_and_a_recreation_may_cost_any_number_of_requests():
    costly = {(cell.kind, cell.strategy) for cell in cells() if promise(cell).failed is None}
    assert all(kind is Kind.HEAD or strategy == "recreate" for kind, strategy in costly)


def test_haproxy_may_cost_half_a_second_and_the_requests_of_that_time():
    promised = {promise(cell) for cell in cells([Kind.HAPROXY]) if cell.strategy != "recreate"}
    assert {(each.failed, each.gap_seconds) for each in promised} == {(20, 0.5)}


def test_what_a_dead_worker_node_may_cost_is_told_with_where_its_replicas_have_to_be():
    told = {promise(cell).text for cell in cells([Kind.WORKER]) if not promise(cell).failed and cell.strategy != "recreate"}
    assert all("each version has a replica on another node" in text for text in told)


def test_only_half_way_of_a_rolling_update_a_dead_replica_may_cost_what_is_on_its_way_to_it():
    some = {
        (each.kind, each.strategy, each.state) for each in cells() if promise(each).failed and each.kind is not Kind.HAPROXY
    }
    assert {strategy for _, strategy, _ in some} == {"rolling"}
    assert {state for _, _, state in some} == {State.SHIFTING, State.ANALYSING}
    assert {kind for kind, _, _ in some} == {Kind.REPLICA, Kind.CANDIDATE, Kind.WORKER}


def test_clients_notice_failures_and_the_longest_time_without_a_good_answer():
    sent = [Sent(0.0, 0.1, "200", "a"), Sent(1.0, 1.1, "503", ""), Sent(2.0, 3.1, "200", "b"), Sent(4.0, 4.1, "ReadError", "")]
    found = noticed(sent)
    assert (found.requests, found.failed, found.gap_seconds) == (4, 2, 3.0)
    assert found.ends == {"200": 2, "503": 1, "ReadError": 1}


def test_no_good_answer_at_all_is_a_gap_of_all_the_time():
    assert noticed([Sent(0.0, 0.5, "503", ""), Sent(5.0, 6.0, "503", "")]).gap_seconds == 6.0


def record(cell, **changes):
    return {**Outcome(cell.name, holds=True, end="succeeded").record(), "sources": "abc", **changes}


def test_cells_are_kept_for_the_next_sitting_as_long_as_the_sources_are_the_same(tmp_path):
    path, cell = tmp_path / "results.json", Cell(Kind.REPLICA, "canary", State.PAUSED)
    Records(path).put(record(cell))
    again = Records(path)
    assert again.get(cell, "abc") is not None
    assert again.get(cell, "other") is None
    assert again.any(cell) is not None
    assert [each["cell"] for each in json.loads(path.read_text())["cells"]] == [cell.name]


def test_a_cell_that_is_measured_until_it_holds_says_so(tmp_path):
    path = tmp_path / "results.json"
    Records(path).put(record(CELL, holds=False, why=["it hung"], failed=3))
    Records(path).put(record(CELL))
    assert [each["why"] for each in Records(path).all()[CELL.name]["overruled"]] == [["it hung"]]
    assert "1 hold only since they were measured again: replica/canary/paused" in markdown(Records(path).all())
    Records(path).put(record(CELL, holds=False, why=["it hung again"]))
    Records(path).put(record(CELL))
    assert len(Records(path).all()[CELL.name]["overruled"]) == 2


def test_other_sources_begin_with_a_clean_record(tmp_path):
    path = tmp_path / "results.json"
    Records(path).put(record(CELL, holds=False, why=["it hung"]))
    Records(path).put(record(CELL, sources="mended"))
    Records(path).put(record(CELL, sources="mended"))
    assert Records(path).all()[CELL.name]["overruled"] == []
    assert "measured again" not in markdown(Records(path).all())


def test_a_damaged_file_begins_anew(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("{")
    assert Records(path).all() == {}


def test_the_sources_of_a_cell_change_with_the_library_and_not_with_the_command_line(tmp_path):
    for name in ("heliostat/controller/a.py", "heliostat/cli/b.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("1")
    before = sources(tmp_path)
    (tmp_path / "heliostat/cli/b.py").write_text("2")
    assert sources(tmp_path) == before
    (tmp_path / "heliostat/controller/a.py").write_text("2")
    assert sources(tmp_path) != before


CELL = Cell(Kind.REPLICA, "canary", State.PAUSED)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (None, "·"),
        (record(CELL), "✓ 0"),
        (record(CELL, failed=3, gap_seconds=1.26), "✓ 3 failed, 1.3 s"),
        (record(CELL, holds=False, failed=3, gap_seconds=1.26), "✗ 3 failed, 1.3 s"),
        (record(CELL, holds=False, nothing="it had ended"), "-"),
        (record(CELL, end="failed: its replicas died"), "✓ 0 ↩"),
        (record(Cell(Kind.REPLICA, "canary", State.ROLLING_BACK), end="failed: aborted"), "✓ 0"),
    ],
)
def test_a_cell_is_shown_in_a_few_characters(found, shown):
    assert short(found) == shown


def test_the_table_names_what_does_not_hold_and_what_is_missing():
    text = markdown({CELL.name: record(CELL, holds=False, why=["it hung"])})
    assert "1 do not hold: replica/canary/paused" in text
    assert f"{len(list(cells())) - 1} are not measured" in text
    assert "| a replica that serves | · | · | · | ✗ 0 | · | · | · |" in text
    assert kept.slowest([record(CELL, seconds=9.0)]) == [(CELL.name, 9.0)]


def test_the_table_names_every_machine_and_every_commit_that_cells_were_measured_on():
    cells_of_two = {name: record(CELL, machine=f"a {name}", commit=f"{name}123") for name in ("xeon", "epyc")}
    assert "Measured on a epyc and a xeon; commits: epyc123, xeon123." in kept.legend(cells_of_two)
