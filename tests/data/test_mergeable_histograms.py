import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from heliostat.data.histograms import LIMIT, Histogram
from heliostat.data.moments import Moments


def same(one: Histogram, other: Histogram) -> bool:
    return (
        (one.shift, one.is_exact) == (other.shift, other.is_exact)
        and np.array_equal(one.codes, other.codes)
        and np.array_equal(one.counts, other.counts)
    )


def of_parts(values: np.ndarray, cuts: list[int]) -> Histogram:
    return Histogram.merged([Histogram.of(part) for part in np.split(values, sorted(cuts)) if len(part)])


numbers = arrays.arrays(
    np.float64, st.integers(1, 60), elements=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-50, 50).map(float)
)


@given(numbers, st.lists(st.integers(0, 60), max_size=4), st.randoms())
@settings(max_examples=200, deadline=None)
def test_any_parts_in_any_order_give_the_histogram_of_the_whole(values, cuts, random):
    shuffled = values.copy()
    random.shuffle(shuffled)

    assert same(of_parts(shuffled, cuts), Histogram.of(values))


@pytest.mark.parametrize("kind", ["normal", "heavy", "times", "prices", "mixed with zeros"])
def test_parts_do_not_matter_beyond_the_limit_either(kind):
    generator = np.random.default_rng(1)
    values = {
        "normal": generator.normal(size=40_000),
        "heavy": generator.standard_cauchy(40_000),
        "times": 1.7e15 + generator.uniform(0, 1e9, 40_000),
        "prices": np.round(generator.gamma(2, 50, 40_000), 2),
        "mixed with zeros": np.where(generator.random(40_000) < 0.3, 0.0, generator.normal(size=40_000)) * -1,
    }[kind]
    whole = Histogram.of(values)

    assert same(of_parts(generator.permutation(values), [5, 100, 9_000, 39_000]), whole)
    assert len(whole.codes) <= LIMIT < 2 * len(whole.codes), "the finest bins that the limit allows"
    assert not whole.is_exact
    assert whole.count == 40_000


def test_merging_is_associative():
    generator = np.random.default_rng(2)
    one, two, three = (Histogram.of(generator.normal(shift, size=9_000)) for shift in (0, 3, 900))

    left = Histogram.merged([Histogram.merged([one, two]), three])
    right = Histogram.merged([one, Histogram.merged([two, three])])

    assert same(left, right)


def test_few_different_numbers_are_each_a_bin_of_their_own():
    values = np.array([-0.0, 0.0, 3.5, -3.5, 1e-300, -1e300, 3.5])
    histogram = Histogram.of(values)

    assert histogram.is_exact
    assert dict(zip(histogram.values, histogram.counts, strict=True)) == {-1e300: 1, -3.5: 1, 0.0: 2, 1e-300: 1, 3.5: 2}
    for share in (0, 0.1, 0.5, 0.77, 1):
        assert histogram.quantile(share) == np.quantile(values, share)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_a_quantile_is_within_the_stated_error_of_its_value(scale):
    values = np.random.default_rng(3).lognormal(2, 1.5, 50_000) * scale * np.random.default_rng(4).choice([-1, 1], 50_000)
    histogram = Histogram.of(values)

    for share in (0.001, 0.01, 0.25, 0.5, 0.9, 0.999):
        exact = np.quantile(values, share, method="inverted_cdf")
        assert histogram.quantile(share) == pytest.approx(exact, rel=2 * 2.0**-histogram.digits)


def test_every_number_lies_in_the_bin_that_counts_it():
    values = np.random.default_rng(5).normal(size=30_000)
    histogram = Histogram.of(values)
    lows, highs = histogram.bounds
    ends = histogram.counts.cumsum()
    ordered = np.sort(values)

    assert (ordered[ends - 1] <= highs).all()
    assert (ordered[ends - histogram.counts] >= lows).all()


def test_a_coarse_histogram_has_no_finer_bins():
    histogram = Histogram.of(np.random.default_rng(6).normal(size=30_000))

    with pytest.raises(ValueError, match="its numbers are not known"):
        histogram.at(histogram.shift - 1)


@given(numbers.map(lambda values: np.clip(values, -1e6, 1e6)), st.lists(st.integers(0, 60), max_size=4))
@settings(max_examples=100, deadline=None)
def test_moments_of_parts_are_those_of_the_whole(values, cuts):
    merged = Moments.merged([Moments.of(part) for part in np.split(values, sorted(cuts)) if len(part)])
    scale = max(1.0, float(np.abs(values).max()))

    assert merged.count == len(values)
    assert merged.mean == pytest.approx(values.mean(), abs=1e-9 * scale)
    assert merged.variance == pytest.approx(values.var(), abs=1e-9 * scale**2)


def test_moments_are_scipy_s():
    values = np.random.default_rng(7).gamma(2, size=10_000)
    moments = Moments.merged([Moments.of(part) for part in np.split(values, [10, 5_000])])

    assert moments.deviation == pytest.approx(values.std())
    assert moments.skewness == pytest.approx(stats.skew(values))
    assert moments.kurtosis == pytest.approx(stats.kurtosis(values))
    assert np.isnan(Moments.of(np.ones(3)).skewness)
