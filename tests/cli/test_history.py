import json
import random
from datetime import UTC, datetime

import pytest
from rollout_records import BEGAN, desired, entry, version

from heliostat.cli.exits import UsageError
from heliostat.cli.rollouts import goals, ledger
from heliostat.cli.rollouts.moments import parse
from heliostat.spec import audit
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Phase, Runtime
from heliostat.systems.objects import open_store


def two_rollouts():
    """Version 1 comes, version 2 takes over by way of 10 %, version 3 is rolled back."""
    return (
        entry(1, before=None, after=1, rollout=1),
        entry(2, EntryKind.END, before=None, after=1, rollout=1),
        entry(3, before=1, after=2, weight=0.1, rollout=2),
        entry(4, before=1, after=2, rollout=2),
        entry(5, EntryKind.END, before=1, after=2, rollout=2),
        entry(6, before=2, after=3, weight=0.1, rollout=3),
        entry(
            7,
            EntryKind.END,
            before=2,
            after=3,
            rollout=3,
            phase=Phase.FAILED,
            weights={version(2).digest: 1.0},
            error="success rate 0.92 is below 0.99\nTraceback",
        ),
    )


def test_the_history_has_the_newest_first_with_what_how_and_who(deployed_platform, stack):
    deployed_platform.remember(*two_rollouts())
    heads, *lines = stack.ok("history").splitlines()
    assert heads.split() == ["NUMBER", "WHEN", "WHAT", "FROM", "->", "TO", "STRATEGY", "COMMIT", "BY", "ENDED", "FIGURES"]
    assert [line.split()[0] for line in lines] == ["7", "6", "5", "4", "3", "2", "1"]
    assert "rollout 3 ended" in lines[0]
    assert "2-00000002 -> 3-00000003" in lines[0]
    assert "failed: success rate 0.92 is below 0.99" in lines[0]
    assert "rollout 2: 10 % to 2-00000002" in lines[4]
    assert "nothing -> 1-00000001" in lines[6]
    for part in ("canary", "1f0c9a2b77+", "ada", "startup 18.7 s"):
        assert part in lines[4]


def test_the_history_as_json_holds_whole_entries(deployed_platform, stack):
    deployed_platform.remember(*two_rollouts())
    said = json.loads(stack.ok("history", "--json", "--limit", "2"))
    assert [one["number"] for one in said] == [7, 6]
    assert said[0]["target"]["version"]["modelUri"] == "models:/flights/3"


def test_only_the_last_entries_are_read_where_there_is_a_limit(deployed_platform, stack):
    deployed_platform.remember(*two_rollouts())
    ran = stack("history", "--limit", "3")
    assert len(ran.out.splitlines()) == 4
    assert "4 older" in ran.err


def test_a_ledger_with_nothing_in_it_is_no_error(deployed_platform, stack):
    assert "has nothing of 'flights'" in stack.ok("history", "flights")
    ran = stack("history")
    assert ran.code == 1
    assert "no application yet" in ran.err


def test_several_applications_are_listed_where_none_is_named(deployed_platform, stack):
    deployed_platform.remember(entry(1), entry(1, application="taxis"))
    ran = stack("history")
    assert ran.code == 1
    assert "name one of flights, taxis" in ran.err
    assert stack.ok("history", "taxis")


def test_what_else_lies_beside_the_ledger_is_no_application(deployed_platform, stack):
    deployed_platform.remember(entry(1))
    deployed_platform.store.put(audit.key_of(1), b"{}")
    assert stack.ok("history") == stack.ok("history", "flights")


def test_missing_damaged_and_strange_entries_are_told_and_the_others_shown(deployed_platform, stack):
    one, _, _, four, five, _, seven = two_rollouts()
    deployed_platform.remember(one, four, five, seven)
    deployed_platform.store.put("ledger/flights/0000000006.json", b'{"number": 6}')
    deployed_platform.store.put("ledger/flights/notes.txt", b"mine")
    deployed_platform.store.put("ledger/flights/0000000009.json", b"\xff\xfe")
    deployed_platform.store.put("ledger/flights/0000000010.json", one.model_dump_json().encode())
    ran = stack("history")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == ["7", "5", "4", "1"]
    warned = ran.err
    assert "entries 2 to 3 are missing" in warned
    assert "entry 8 is missing" in warned
    assert "entry 6 cannot be read" in warned
    assert "entry 9 cannot be read" in warned
    assert "entry 10 cannot be read" in warned
    assert "holds entry 1 of flights" in warned
    assert "notes.txt is no entry" in warned


def test_what_served_at_a_moment_is_told_exactly(deployed_platform, stack):
    deployed_platform.remember(*two_rollouts())
    at = datetime.fromtimestamp(BEGAN + 60 * 3 + 1).isoformat()
    shown = stack.ok("history", "--at", at)
    assert "by entry 3 (rollout 2" in shown
    assert shown.index("90 % of the traffic") < shown.index("10 % of the traffic")
    for part in (version(1).code_uri, version(1).data_digest, "models:/flights/2", "2 with 1 CPU each"):
        assert part in shown
    said = json.loads(stack.ok("history", "--at", at, "--json"))
    assert said["entry"] == 3
    assert [(one["share"], one["desired"]["version"]["label"]) for one in said["served"]] == [
        (0.9, "1-00000001"),
        (0.1, "2-00000002"),
    ]


def test_what_served_after_a_rollback_is_the_old_version(deployed_platform, stack):
    deployed_platform.remember(*two_rollouts())
    shown = stack.ok("history", "--at", str(BEGAN + 60 * 7 + 1))
    assert "100 % of the traffic" in shown
    assert "models:/flights/2" in shown
    assert "models:/flights/3" not in shown


def test_before_the_first_entry_and_after_a_removal_nothing_served(deployed_platform, stack):
    deployed_platform.remember(*two_rollouts(), entry(8, EntryKind.REMOVED, before=2, after=2))
    assert "nothing of flights had served yet" in stack.ok("history", "--at", str(BEGAN - 5))
    assert "nothing served flights, by entry 8" in stack.ok("history", "--at", str(BEGAN + 60 * 9))


def test_a_moment_is_found_by_reading_few_entries_of_a_long_ledger():
    entries = {number: entry(number) for number in range(1, 2001)}
    asked = []

    def read_one(number):
        asked.append(number)
        return entries[number]

    what, notes = ledger.served_at(list(entries), read_one, BEGAN + 60 * 1234 + 30)
    assert (what.entry.number, notes) == (1234, ())
    assert len(set(asked)) < 16


@pytest.mark.parametrize("seed", range(30))
def test_a_moment_is_found_beside_damaged_entries_as_by_reading_them_all(seed):
    dice = random.Random(seed)
    numbers = sorted(dice.sample(range(1, 40), 20))
    broken = set(dice.sample(numbers, 8))
    found = {n: ledger.Damaged(n, "torn") if n in broken else entry(n) for n in numbers}
    at = BEGAN + 60 * dice.uniform(0, 41)
    what, notes = ledger.served_at(numbers, found.__getitem__, at)
    whole = [n for n in numbers if n not in broken and found[n].at <= at]
    assert (what.entry.number if what else None) == (whole[-1] if whole else None)
    assert any("missing" in note for note in notes)


def test_a_moment_may_be_written_in_many_ways():
    now = datetime(2026, 3, 1, 15, 0).timestamp()
    noon = datetime(2026, 3, 1, 12, 0).timestamp()
    for text in ("2026-03-01 12:00", "2026-03-01T12:00:00", "12:00", "3h", "180m ago", f"{noon:.0f}"):
        assert parse(text, now) == noon, text
    assert parse("2026-03-01T12:00:00Z", now + 86400) == 1772366400
    with pytest.raises(UsageError, match="is no time: write it like"):
        parse("yesterday", now)
    with pytest.raises(UsageError, match="later than now"):
        parse("2026-03-02", now)
    with pytest.raises(UsageError, match="later than now"):
        parse("9999-12-31 23:59", now)


@pytest.mark.parametrize(
    "text", ["800000d", "9" * 400 + "d", "1960-07-01", "1969-12-31T23:59:59Z", "0001-01-01T00:00", "0001-01-01T00:00:00+14:00"]
)
def test_a_moment_before_1970_is_refused_before_anything_is_read(text):
    with pytest.raises(UsageError, match="is before 1970"):
        parse(text, datetime(2026, 3, 1).timestamp())


@pytest.mark.parametrize("text", ["2026", "14", "1430", "2026-02-30", "2026-13-01 10:00", "24:01", "-1d"])
def test_a_year_is_no_time_of_day_and_what_no_calendar_has_is_no_moment(text):
    with pytest.raises(UsageError, match="is no time: write it like"):
        parse(text, datetime(2026, 3, 1, 23, 59).timestamp())


def test_a_time_of_day_is_todays_in_the_zone_that_it_names():
    now = datetime(2026, 3, 1, 15, 0).timestamp()
    assert parse("12:30:15", now) == datetime(2026, 3, 1, 12, 30, 15).timestamp()
    assert parse("00:00Z", now) == datetime(2026, 3, 1, tzinfo=UTC).timestamp()


def test_a_wrong_moment_is_a_usage_error(deployed_platform, stack):
    deployed_platform.remember(entry(1))
    for text, said in (("soon", "is no time"), ("800000d", "is before 1970"), ("0001-01-01T00:00:00+14:00", "is before 1970")):
        ran = stack("history", "--at", text)
        assert (ran.code, said in ran.err) == (2, True), ran.err


def test_after_destroy_the_config_says_where_the_ledger_is(deployed_platform, stack):
    deployed_platform.remember(*two_rollouts())
    deployed_platform.exports()
    folder = deployed_platform.store.root
    stack.config.write_text(
        stack.config.read_text() + f"config:\n  heliostat:platform:\n    store: {{kind: directory, path: {folder}}}\n"
    )
    assert "rollout 3 ended" in stack.ok("history")
    stack.ok("stack", "rm", "dev", "--yes", "--force", "--preserve-config")
    assert "rollout 3 ended" in stack.ok("history", "-s", "dev")


def test_after_destroy_the_default_store_is_where_the_program_puts_it(deployed_platform, stack):
    deployed_platform.exports()
    stack.config.write_text(stack.config.read_text() + "config:\n  heliostat:platform: {kind: local}\n")
    store = open_store(StoreAddress(uri=(stack.folder / ".heliostat/stacks/dev/objects").as_uri()))
    store.put("ledger/flights/0000000001.json", entry(1).model_dump_json().encode())
    assert "rollout 1" in stack.ok("history")


def test_a_destroyed_stack_without_a_declared_platform_says_what_to_do(deployed_platform, stack):
    deployed_platform.exports()
    ran = stack("history")
    assert ran.code == 1
    assert "exports no platform, and" in ran.err
    assert "-s" in ran.err


def test_a_mistake_in_the_declared_platform_is_told_with_its_place(deployed_platform, stack):
    deployed_platform.exports()
    stack.config.write_text(stack.config.read_text() + "config:\n  heliostat:platform: {kind: local, stroe: {}}\n")
    ran = stack("history")
    assert ran.code == 1
    assert "stroe" in ran.err


def test_the_ledger_is_read_from_a_bucket_too(deployed_platform, stack, s3_address):
    deployed_platform.store_address = s3_address
    deployed_platform.remember(*two_rollouts())
    deployed_platform.exports(platform=deployed_platform.platform())
    assert "rollout 3 ended" in stack.ok("history")
    assert "models:/flights/2" in stack.ok("history", "--at", str(BEGAN + 60 * 5))


def test_what_a_rollback_to_an_entry_goes_back_to_is_what_had_most_of_the_traffic_after_it():
    entries = two_rollouts()
    assert goals.goal(entries[5]).version == version(2)
    assert goals.goal(entries[6]).version == version(2)
    assert goals.goal(entry(9, EntryKind.REMOVED)) is None
    assert json.loads(dict(ledger.exact(desired()))["strategy"])["kind"] == "canary"


def test_what_is_gone_back_to_is_shown_with_its_library_also_where_that_was_not_recorded():
    wanted = desired()
    assert dict(ledger.exact(wanted))["library"] == "not recorded: the one that is installed where it runs"
    runtime = Runtime(library="0.0.9", library_digest="a" * 64, library_uri="file:///o/library/a.zip")
    recorded = wanted.model_copy(update={"version": wanted.version.model_copy(update={"runtime": runtime})})
    assert dict(ledger.exact(recorded))["library"] == "heliostat 0.0.9, file:///o/library/a.zip"


def test_an_application_that_was_taken_away_is_none_of_those_to_choose_from(deployed_platform, stack):
    gone = entry(2, EntryKind.REMOVED, application="taxis", before=1, after=1, weights={})
    deployed_platform.remember(entry(1), entry(1, application="taxis"), gone)
    assert "1-00000001" in stack.ok("history"), "flights is the only one that is left"
    assert "removed" in stack.ok("history", "taxis"), "and the other can be asked for by its name"


def test_where_all_were_taken_away_the_only_one_that_was_is_shown(deployed_platform, stack):
    deployed_platform.remember(entry(1), entry(2, EntryKind.REMOVED, before=1, after=1, weights={}))
    assert "removed" in stack.ok("history")
