"""What noise is worth, beside published values and an accountant's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from heliostat.federated import privacy
from heliostat.federated.contributions import averaged, norm_of
from heliostat.spec.federated import DifferentialPrivacy

# Of dp-accounting 0.6.0: PLDAccountant(value_discretization_interval=1e-4), which rounds up, and RdpAccountant, a bound.
ACCOUNTED = [
    (1.0, 1, 1e-5, 4.37717810002493, 4.728507067217623),
    (1.1, 10, 1e-5, 15.782719508691017, 16.856677599575107),
    (4.0, 100, 1e-6, 14.450776968552242, 15.32798402653992),
    (0.8, 5, 1e-3, 11.875256603758805, 13.086788723107027),
    (20.0, 50, 1e-5, 1.3564673776327494, 1.478121967952188),
]


@pytest.mark.parametrize(("multiplier", "rounds", "delta", "pld", "rdp"), ACCOUNTED)
def test_epsilon_is_the_accountant_s_and_below_its_bound(
    multiplier: float, rounds: int, delta: float, pld: float, rdp: float
) -> None:
    found = privacy.epsilon(DifferentialPrivacy(clip=1.0, noise_multiplier=multiplier, delta=delta), rounds)
    assert found == pytest.approx(pld, rel=2e-3)
    assert found < rdp


def test_the_delta_of_one_round_is_the_published_one() -> None:
    # Dong, Roth and Su 2019, figure of μ = 1: at ε = 1 its δ is Φ(-1/2) - e Φ(-3/2) = 0.1269.
    delta = 0.12693673750664397
    assert privacy.epsilon(DifferentialPrivacy(clip=1.0, noise_multiplier=1.0, delta=delta), 1) == pytest.approx(1.0, abs=1e-9)


def test_more_noise_is_worth_more_and_more_rounds_less() -> None:
    def epsilon(multiplier: float, rounds: int) -> float:
        return privacy.epsilon(DifferentialPrivacy(clip=3.0, noise_multiplier=multiplier), rounds)

    assert epsilon(2.0, 10) < epsilon(1.0, 10) < epsilon(1.0, 20)
    assert epsilon(2.0, 40) == pytest.approx(epsilon(1.0, 10))


def test_so_much_noise_that_delta_alone_holds_is_worth_zero_and_next_to_none_is_worth_nothing() -> None:
    assert privacy.epsilon(DifferentialPrivacy(clip=1.0, noise_multiplier=1e6, delta=1e-3), 1) == 0.0
    assert privacy.epsilon(DifferentialPrivacy(clip=1.0, noise_multiplier=1e-6), 1000) == math.inf


def test_noise_has_its_deviation_and_is_never_the_same() -> None:
    drawn = privacy.noise(200_000, 3.0)
    assert abs(float(np.std(drawn)) - 3.0) < 0.03
    assert abs(float(np.mean(drawn))) < 0.04
    assert not np.array_equal(drawn, privacy.noise(200_000, 3.0))


def test_an_update_is_clipped_and_weighs_one_whatever_its_rows() -> None:
    before = {"a": np.zeros(2), "b": np.zeros(1)}
    after = {"a": np.array([3.0, 0.0]), "b": np.array([4.0])}
    clipped, weight = averaged(before, after, 1000, DifferentialPrivacy(clip=1.0, noise_multiplier=1.0))
    assert (norm_of(clipped), weight) == (pytest.approx(1.0), 1.0)
    small, _ = averaged(before, after, 1000, DifferentialPrivacy(clip=10.0, noise_multiplier=1.0))
    assert norm_of(small) == pytest.approx(5.0)
    still, _ = averaged(before, before, 10, DifferentialPrivacy(clip=1.0, noise_multiplier=1.0))
    assert norm_of(still) == 0.0
