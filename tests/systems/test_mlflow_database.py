"""MLflow's tables are made, and made again nowhere; a database that is away is waited for, and named without its password."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from heliostat.systems import mlflow_database


def test_the_tables_are_made_and_a_second_time_left_as_they_are(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for _ in range(2):
        mlflow_database.prepare(uri, 5)
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
            assert {"experiments", "runs", "registered_models", "alembic_version"} <= tables
            assert database.execute("select count(*) from alembic_version").fetchone() == (1,)


def test_a_database_that_stays_away_is_named_without_its_password():
    with pytest.raises(SystemExit) as ended:
        mlflow_database.prepare("postgresql+psycopg2://mlflow:sesame@127.0.0.1:1/mlflow", 0.1)
    assert str(ended.value.code).startswith("the database at 127.0.0.1 does not answer after 0.1 s: ")
    assert "sesame" not in str(ended.value.code)


def test_without_a_database_it_says_which_variable_names_one(monkeypatch):
    monkeypatch.delenv(mlflow_database.VARIABLE, raising=False)
    with pytest.raises(SystemExit) as ended:
        mlflow_database.main()
    assert "MLFLOW_BACKEND_STORE_URI is not set" in str(ended.value.code)


@pytest.mark.parametrize(
    ("uri", "installed", "driven"),
    [
        ("postgresql://u:p@h:5432/d", {"psycopg2"}, "postgresql+psycopg2://u:p@h:5432/d"),
        ("postgres://u:p@h/d", {"psycopg", "psycopg2"}, "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg2://h/d", {"psycopg"}, "postgresql+psycopg2://h/d"),
        ("postgresql://h/d", set(), "postgresql://h/d"),
        ("sqlite:////data/mlflow.db", {"psycopg2"}, "sqlite:////data/mlflow.db"),
    ],
)
def test_a_database_is_named_with_the_driver_that_is_installed(uri, installed, driven):
    assert mlflow_database.driven(uri, installed.__contains__) == driven


def test_with_arguments_it_becomes_that_command(monkeypatch):
    command = [sys.executable, "-m", "heliostat.systems.mlflow_database", "printenv", "MLFLOW_BACKEND_STORE_URI"]
    monkeypatch.setenv(mlflow_database.VARIABLE, "postgresql://u:p@h/d")
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("postgresql+psycopg")
