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
        ("flights: recreate: a gap of about 12.5 s without service", 12.5),
        ("    info: no service for about 9 s", None),
        ("flights will be without service for about 9 s (measured)", 9.0),
        ("nothing to do", None),
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
