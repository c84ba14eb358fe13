"""Secure aggregation: the sum comes out, whoever left; less than the sum does not."""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.federated import exact, masks, shamir
from heliostat.federated.masks import MaskError, SiteSecrets

SITES = ("berlin", "lyon", "oslo", "porto", "turin")
CONTEXT = b"digest|3|1"


class Attempt:
    """Sites that go through an attempt; `lost` split their secrets and sent no update."""

    def __init__(self, lost: Collection[str] = (), threshold: int = 3) -> None:
        self.threshold = threshold
        self.sites = {name: SiteSecrets(name, CONTEXT) for name in SITES}
        self.members = {name: site.public for name, site in self.sites.items()}
        split = {name: site.shares(self.members, threshold) for name, site in self.sites.items()}
        self.boxes = {name: {sender: boxes[name] for sender, boxes in split.items()} for name in SITES}
        generator = np.random.default_rng(4)
        self.vectors = {name: generator.standard_normal(6) * 1e6 for name in SITES}
        self.masked = {
            name: site.masked(exact.encode(self.vectors[name]), self.members)
            for name, site in self.sites.items()
            if name not in lost
        }
        self.summed, self.left = tuple(self.masked), tuple(lost)

    def revealed(self, *tellers: str) -> dict[str, dict[str, bytes]]:
        return {
            name: self.sites[name].reveal(self.boxes[name], self.members, self.summed, self.left, self.threshold)
            for name in tellers
        }

    def total(self, revealed: dict[str, dict[str, bytes]]) -> np.ndarray:
        total = reduce(exact.add, self.masked.values())
        return exact.decode(masks.unmasked(total, CONTEXT, self.members, self.summed, self.left, revealed))


@pytest.mark.parametrize("lost", [(), ("lyon",), ("berlin", "turin")])
def test_the_sum_of_those_that_stayed_comes_out_to_the_last_bit(lost: tuple[str, ...]) -> None:
    attempt = Attempt(lost)
    tellers = attempt.summed[:3]
    wanted = exact.total(attempt.vectors[name] for name in attempt.summed)
    assert np.array_equal(attempt.total(attempt.revealed(*tellers)), wanted)


def test_one_masked_vector_says_nothing_of_what_is_in_it() -> None:
    attempt = Attempt()
    plain = exact.encode(attempt.vectors["oslo"])
    assert not np.any(attempt.masked["oslo"] == plain)
    again = SiteSecrets("oslo", CONTEXT).masked(plain, attempt.members)
    assert not np.any(attempt.masked["oslo"] == again)


def test_fewer_parts_than_the_threshold_give_no_sum() -> None:
    attempt = Attempt(("lyon",))
    with pytest.raises(MaskError):
        attempt.total(attempt.revealed("berlin", "oslo"))


def test_a_site_tells_no_two_sums_of_one_attempt() -> None:
    attempt = Attempt(("lyon",))
    attempt.revealed("berlin")
    attempt.revealed("berlin")
    attempt.summed, attempt.left = ("berlin", "oslo", "porto"), ("lyon", "turin")
    with pytest.raises(MaskError, match="another sum"):
        attempt.revealed("berlin")


def test_a_site_tells_nothing_where_both_secrets_of_one_are_asked_for_or_too_few_are_summed() -> None:
    attempt = Attempt()
    attempt.left = ("oslo",)
    with pytest.raises(MaskError, match="more than the sum"):
        attempt.revealed("berlin")
    attempt.summed, attempt.left = ("berlin", "oslo"), ("lyon", "porto", "turin")
    with pytest.raises(MaskError, match="more than the sum"):
        attempt.revealed("berlin")


def test_a_part_that_was_changed_on_its_way_is_noticed() -> None:
    attempt = Attempt()
    box = attempt.boxes["berlin"]["oslo"]
    attempt.boxes["berlin"]["oslo"] = box[:-1] + bytes([box[-1] ^ 1])
    with pytest.raises(MaskError, match="oslo split was changed"):
        attempt.revealed("berlin")


@settings(max_examples=20)
@given(st.binary(min_size=32, max_size=32), st.integers(1, 5), st.randoms())
def test_any_threshold_of_parts_gives_the_secret_back(secret: bytes, threshold: int, random: object) -> None:
    parts = dict(enumerate(shamir.split(secret, threshold, 5), 1))
    chosen = random.sample(sorted(parts), threshold)  # type: ignore[attr-defined]
    assert shamir.joined({number: parts[number] for number in chosen}) == secret


def test_fewer_parts_give_another_secret_or_none() -> None:
    secret = bytes(range(32))
    parts = dict(enumerate(shamir.split(secret, 3, 5), 1))
    with pytest.raises(ValueError, match="one secret"):
        shamir.joined({1: parts[1], 2: parts[2]})


def test_a_threshold_above_the_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="4 of 3"):
        shamir.split(bytes(32), 4, 3)
