"""A coordinator and its sites over HTTP on loopback: what they train, who is left out, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from federation_world import FederationWorld, rounds_of

from heliostat.federated.contributions import averaged
from heliostat.federated.messages import ArraySpec, Step, Task, Update, pack, packed_arrays, unpack
from heliostat.sites import code
from heliostat.spec.federated import DifferentialPrivacy

MASKED = {"secureAggregation": True, "minSites": 3}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FederationWorld]:
    found = FederationWorld(tmp_path)
    monkeypatch.syspath_prepend(str(found.root))
    yield found
    found.finish()


def assert_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    assert all(found[name].tobytes() == np.asarray(wanted[name]).tobytes() for name in wanted), (found, wanted)


@pytest.mark.parametrize("rules", [{}, MASKED], ids=["plain", "masked"])
def test_the_parameters_are_those_of_one_process_to_the_last_bit(world: FederationWorld, rules: dict[str, Any]) -> None:
    coordinator = world.coordinator(rules=rules)
    sites = [world.site(name) for name in world.names]
    assert coordinator.rest() == 0
    assert_equal(world.result(), world.expected())
    records = rounds_of(coordinator)
    assert [record["round"] for record in records] == [1, 2, 3]
    assert {name: site["rows"] for name, site in records[0]["sites"].items()} == {"berlin": 20, "lyon": 40, "oslo": 60}
    assert all(("loss" in site["metrics"]) == (not rules) for site in records[0]["sites"].values())
    assert records[0]["metrics"]["loss"] > records[2]["metrics"]["loss"]
    assert not list((world.tmp_path / "objects").rglob("open/*")), "what sites sent is gone with its round"
    sites[0].await_line("waiting for the coordinator")


def test_a_site_that_never_answers_is_left_out_and_told(world: FederationWorld) -> None:
    coordinator = world.coordinator(roundSeconds=2.0)
    for name in ("berlin", "lyon"):
        world.site(name)
    assert coordinator.rest() == 0
    assert_equal(world.result(), world.expected(names=("berlin", "lyon")))
    assert [record["leftOut"] for record in rounds_of(coordinator)] == [{"oslo": "it did not answer in time"}] * 3
    assert sum("goes on without oslo" in line for line in coordinator.lines) == 1, "later rounds do not wait for it"


def test_a_round_waits_for_enough_sites_and_says_so(world: FederationWorld) -> None:
    coordinator = world.coordinator(roundSeconds=0.5)
    world.site("berlin")
    coordinator.await_line("round 1 waits for sites: ")
    world.site("lyon")
    assert coordinator.rest() == 0
    assert_equal(world.result(), world.expected(names=("berlin", "lyon")))


@pytest.mark.parametrize("rules", [{}, MASKED], ids=["plain", "masked"])
def test_a_coordinator_that_is_killed_goes_on_after_its_last_round(world: FederationWorld, rules: dict[str, Any]) -> None:
    first = world.coordinator(dieAfter=2, rules=rules)
    for name in world.names:
        world.site(name)
    assert first.rest() == 9
    second = world.coordinator(rules=rules)
    assert second.rest() == 0
    assert [record["round"] for record in rounds_of(second)] == [3]
    assert_equal(world.result(), world.expected())


def test_a_site_that_is_lost_after_it_shared_masks_does_not_break_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = FederationWorld(tmp_path, ("berlin", "lyon", "oslo", "porto"))
    monkeypatch.syspath_prepend(str(world.root))
    try:
        coordinator = world.coordinator(rules={**MASKED, "rounds": 1}, roundSeconds=3.0)
        for name in ("berlin", "lyon", "oslo"):
            world.site(name)
        # It takes the first two steps by hand, and is never heard of again.
        with _client(world, "porto") as porto:
            secrets = _shared(porto)
        assert secrets
        assert coordinator.rest() == 0
        assert_equal(world.result(), world.expected(rounds=1, names=("berlin", "lyon", "oslo")))
        assert rounds_of(coordinator)[0]["leftOut"] == {"porto": "it did not answer in time"}
    finally:
        world.finish()


def test_a_site_with_another_s_or_no_token_is_refused(world: FederationWorld) -> None:
    world.coordinator()
    stranger = world.site("berlin", "wrong-token-of-somebody")
    assert stranger.rest() != 0
    assert any("does not know this site's token" in line for line in stranger.lines)
    assert not any("wrong-token" in line for line in stranger.lines)
    assert httpx.get(f"http://127.0.0.1:{world.port}/v1/task").status_code == 401


def test_a_site_whose_fit_fails_is_left_out_without_a_word_of_its_rows(world: FederationWorld) -> None:
    coordinator = world.coordinator(rules={"rounds": 1})
    for name in ("berlin", "lyon"):
        world.site(name)
    columns = {"x": [1.0], "y": [1.0], "odd": [1.0]}
    pq.write_table(pa.table(columns), world.tmp_path / "oslo/rows.parquet")
    odd = world.site("oslo")
    assert coordinator.rest() == 0
    assert rounds_of(coordinator)[0]["leftOut"] == {"oslo": "its fit failed"}
    assert not any("Smith" in line for line in coordinator.lines)
    odd.await_line("the row of Mr Smith is odd")


def test_a_checkout_with_other_code_takes_no_part(world: FederationWorld) -> None:
    coordinator = world.coordinator(rules={"rounds": 1})
    file = world.root / "tinyfederation/federated.py"
    file.write_text(file.read_text().replace("0.1", "0.2"))
    site = world.site("berlin")
    site.await_line("bring")
    coordinator.await_line("berlin takes no part in round 1: its checkout has other code")


def test_a_site_that_lacks_what_the_code_imports_takes_no_part_and_stays(
    world: FederationWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(entry_point: str) -> Any:
        raise ModuleNotFoundError("No module named 'lightgbm'")

    monkeypatch.setattr(code, "load_entry_point", lacking)
    coordinator = world.coordinator(rules={"rounds": 1})
    site = world.site("berlin")
    site.await_line("cannot be loaded here: ModuleNotFoundError: No module named 'lightgbm'")
    coordinator.await_line("berlin takes no part in round 1: its fit failed")


def test_bad_updates_are_refused_with_their_paths_and_cost_nothing(world: FederationWorld) -> None:
    coordinator = world.coordinator(rules={"rounds": 1, "maxNorm": 100.0, "minSites": 3})
    with _client(world, "berlin") as client:
        task, _ = unpack(Task, client.get("/v1/task").content)
        assert (task.step, task.round) == (Step.FIT, 1)
        for change, status, told in BAD:
            place = change.get("place", "/v1/rounds/1/1/fit")
            answer = client.put(place, content=change["body"] if "body" in change else _update(**change.get("given", {})))
            assert (answer.status_code, answer.json()["detail"][0]["path"]) == (status, told), answer.text
        assert client.put("/v1/rounds/1/1/fit", content=_update()).status_code == 204
        assert client.put("/v1/rounds/1/1/fit", content=_update()).status_code == 204, "the same again is taken as it was"
        again = client.put("/v1/rounds/1/1/fit", content=_update(rows=3))
        assert (again.status_code, again.json()["detail"][0]["path"]) == (409, "fit")
    for name in ("lyon", "oslo"):
        world.site(name)
    assert coordinator.rest() == 0
    assert rounds_of(coordinator)[0]["sites"]["berlin"]["rows"] == 2


def test_rows_that_come_to_a_site_are_in_the_next_training_and_told_by_their_digest_alone(world: FederationWorld) -> None:
    first = world.coordinator(rules={"rounds": 1})
    for name in world.names:
        world.site(name)
    assert first.rest() == 0
    (world.tmp_path / "berlin/more.csv").write_text("x,y\n0.5,1.5\n")
    second = world.coordinator(rules={"rounds": 1}, note={"digest": "e" * 64})
    assert second.rest() == 0
    before, after = (rounds_of(each)[0]["sites"] for each in (first, second))
    assert (before["berlin"]["rows"], after["berlin"]["rows"]) == (20, 21)
    assert before["berlin"]["dataDigest"] != after["berlin"]["dataDigest"]
    assert before["oslo"]["dataDigest"] == after["oslo"]["dataDigest"]


@pytest.mark.parametrize("rules", [{"minSites": 3}, MASKED], ids=["plain", "masked"])
def test_with_privacy_updates_are_clipped_and_no_metric_travels(world: FederationWorld, rules: dict[str, Any]) -> None:
    noise = {"clip": 0.05, "noiseMultiplier": 1e-9}
    coordinator = world.coordinator(rules={**rules, "rounds": 1, "privacy": noise})
    for name in world.names:
        world.site(name)
    assert coordinator.rest() == 0
    record = rounds_of(coordinator)[0]
    assert record["metrics"] == {}
    assert all(site["metrics"] == {} for site in record["sites"].values())
    wanted = np.mean([_clipped(world, name) for name in world.names], axis=0)
    found = world.result()
    assert np.allclose([found["slope"][0], found["start"][0]], wanted, rtol=0, atol=1e-8)
    assert not np.array_equal([found["slope"][0], found["start"][0]], wanted), "there is noise, if little"


def _clipped(world: FederationWorld, name: str) -> list[float]:
    before = {"slope": np.zeros(1), "start": np.zeros(1)}
    after = world.expected(rounds=1, names=(name,))
    moved, _ = averaged(before, after, 1, DifferentialPrivacy(clip=0.05, noise_multiplier=1.0))
    return [moved["slope"][0], moved["start"][0]]


def _update(rows: int = 2, weight: float = 2.0, **arrays: Any) -> bytes:
    given = {"slope": np.ones(1), "start": np.ones(1), **arrays}
    given = {name: array for name, array in given.items() if array is not None}
    specs = {name: ArraySpec(shape=array.shape) for name, array in given.items()}
    header = Update(rows=rows, data_digest="a" * 64, weight=weight, arrays=specs, metrics={"loss": 1.0})
    return pack(header, packed_arrays(given))


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"given": {"slope": np.ones(2)}}, 422, "fit.arrays.slope"),
    ({"given": {"slope": np.array([np.nan])}}, 422, "fit.arrays.slope[0]"),
    ({"given": {"start": np.array([np.inf])}}, 422, "fit.arrays.start[0]"),
    ({"given": {"start": np.array([1e6])}}, 422, "fit.arrays"),
    ({"given": {"start": None}}, 422, "fit.arrays.start"),
    ({"given": {"other": np.ones(1)}}, 422, "fit.arrays.other"),
    ({"given": {"weight": 0.0}}, 422, "fit.weight"),
    ({"body": b"no message"}, 422, "fit.header"),
    ({"body": _update()[:-8]}, 422, "fit.arrays"),
    ({"body": _update() + b"\0"}, 422, "fit.arrays"),
    ({"body": _update().replace(b'"rows":2', b'"rows":0')}, 422, "fit.rows"),
    ({"body": b"\0" * (2 << 20)}, 413, "body"),
    ({"place": "/v1/rounds/2/1/fit"}, 409, "round"),
    ({"place": "/v1/rounds/1/2/fit"}, 409, "round"),
    ({"place": "/v1/rounds/1/1/masked"}, 409, "step"),
    ({"place": "/v1/rounds/1/1/nothing"}, 404, "step"),
]


def _client(world: FederationWorld, name: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {world.tokens[name]}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{world.port}", headers=headers, timeout=60.0, trust_env=False)


def _shared(client: httpx.Client) -> bool:
    """Go through the steps up to the shares, as a site that is lost after them."""
    from heliostat.federated.masks import PublicKeys, SiteSecrets
    from heliostat.federated.messages import Keys, Shares

    version, secrets = "", SiteSecrets("porto", f"{'d' * 64}|1|1".encode())
    while True:
        task, _ = unpack(Task, client.get("/v1/task", params={"version": version}).content)
        version = task.version
        if task.step is Step.KEYS:
            keys = Keys(cipher=secrets.public.cipher.hex(), mask=secrets.public.mask.hex())
            assert client.put("/v1/rounds/1/1/keys", content=pack(keys)).status_code == 204
        elif task.step is Step.SHARES:
            members = {
                name: PublicKeys(bytes.fromhex(keys.cipher), bytes.fromhex(keys.mask)) for name, keys in task.members.items()
            }
            boxes = {name: box.hex() for name, box in secrets.shares(members, task.threshold).items()}
            return client.put("/v1/rounds/1/1/shares", content=pack(Shares(boxes=boxes))).status_code == 204
