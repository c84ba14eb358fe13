import pytest

from bench import memory, payloads, rollouts
from bench.commands import MeasurementError
from bench.rollouts import gap_told, longest_gap

ROLLUP = """\
55d0a0000000-7ffd1a5fe000 ---p 00000000 00:00 0                          [rollup]
Rss:              123456 kB
Pss:               98765 kB
Pss_Dirty:         90000 kB
"""


def test_pss_is_read_from_a_rollup():
    assert memory.parse_pss(ROLLUP) == 98765


def test_a_rollup_without_pss_is_an_error():
    with pytest.raises(ValueError, match="no line `Pss:`"):
        memory.parse_pss("Rss: 1 kB\n")


def test_a_process_that_has_ended_occupies_nothing():
    assert memory.pss_kib(2**22 + 1) == 0


def test_a_folder_without_services_has_no_components(tmp_path):
    assert memory.by_component(tmp_path) == {}


def test_the_gap_is_the_longest_time_between_good_answers():
    assert longest_gap([0.0, 0.02, 0.04, 5.04, 5.06]) == 5.0


def test_no_gap_is_made_up_where_nothing_answered():
    with pytest.raises(MeasurementError, match="no gap"):
        longest_gap([1.0])


@pytest.mark.parametrize(
    ("preview", "seconds"),
    [
        ("1-ab: a gap without service of about 9 s (measured in 2 earlier starts); no replicas on top", 9.0),
        ("1-ab: a gap\n    without service of about 12.5 s (measured", 12.5),
        ("a gap without service of unknown length (nothing was measured yet; at most 180 s to start)", None),
        ("moves all traffic at once; no gap", None),
    ],
)
def test_the_gap_is_read_from_what_a_preview_says(preview, seconds):
    assert gap_told(preview) == seconds


def test_every_payload_is_a_request_of_the_contract_and_they_differ():
    from workloads.flights.contract import Flight

    bodies = payloads.flights()
    assert len(bodies) == payloads.COUNT
    assert len({tuple(body.items()) for body in bodies}) > payloads.COUNT * 0.9
    for body in bodies[:100]:
        Flight.model_validate(body)


def test_rollouts_end_in_one_of_the_phases_that_the_controller_names():
    assert {phase.value for phase in rollouts._ENDS} == {"succeeded", "failed", "superseded"}


def test_the_gap_is_read_from_the_plan_that_the_controller_really_makes():
    from heliostat.rollout.model import Colour, ColourSpec, State
    from heliostat.rollout.plan import plan
    from heliostat.spec.strategies import Recreate
    from heliostat.testing import desired

    state = State(name="flights", live=Colour.BLUE, blue=ColourSpec(desired=desired(1, Recreate())))
    told = "\n".join(plan(state, desired(2, Recreate()), (5.0, 1), (9.2, 1)).lines)
    assert gap_told(told) == 9.0
