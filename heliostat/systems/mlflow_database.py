"""Brings MLflow's database to the schema of the MLflow that is installed: `python -m heliostat.systems.mlflow_database`.

A server refuses a database of an older release, and one that is empty is filled by whichever of its processes comes first. The
database is named by MLFLOW_BACKEND_STORE_URI, as for the server: an argument would show its password.

With arguments it becomes the command that they are, with the database named as the installed driver takes it: SQLAlchemy means
psycopg by `postgresql://` since 2.1, and psycopg2 before.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, cast

from tenacity import RetryError, Retrying, before_sleep_log, retry_if_exception_type, stop_after_delay, wait_fixed

VARIABLE: Final = "MLFLOW_BACKEND_STORE_URI"
_SECONDS: Final = 300.0
"""How long a database is waited for that does not answer yet."""
_log = logging.getLogger("heliostat.mlflow")


def main() -> None:
    """Wait for it, and bring it there."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    uri = os.environ.get(VARIABLE)
    if not uri:
        sys.exit(f"{VARIABLE} is not set: name MLflow's database there")
    uri = driven(uri, lambda package: find_spec(package) is not None)
    if len(sys.argv) > 1:
        os.environ[VARIABLE] = uri
        os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - what the pod's manifest says
    prepare(uri, _SECONDS)


def driven(uri: str, is_installed: Callable[[str], bool]) -> str:
    """The URI with the driver of PostgreSQL that is installed, where it names none. Pure."""
    scheme, separator, rest = uri.partition("://")
    driver = next((each for each in ("psycopg", "psycopg2") if is_installed(each)), None)
    return f"postgresql+{driver}{separator}{rest}" if scheme in ("postgresql", "postgres") and driver else uri


def prepare(uri: str, seconds: float) -> None:
    """Make or upgrade the tables, once the database answers; it is waited for as long as that.

    Raises:
        SystemExit: it does not answer in time.
    """
    sqlalchemy, utils = (cast("Any", import_module(name)) for name in ("sqlalchemy", "mlflow.store.db.utils"))
    engine = sqlalchemy.create_engine(uri)
    away = sqlalchemy.exc.OperationalError
    tries = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(2),
        retry=retry_if_exception_type(away),
        # Its text names host and user, and never the password.
        before_sleep=before_sleep_log(_log, logging.INFO),
    )
    try:
        tries(lambda: engine.connect().close())
    except RetryError as error:
        last = error.last_attempt.exception()
        sys.exit(f"the database at {engine.url.host} does not answer after {seconds:g} s: {getattr(last, 'orig', last)}")
    with engine.connect() as connection:
        # Alembic, a part of MLflow's own upgrade, holds no lock: two pods could do it at once.
        if engine.dialect.name == "postgresql":
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(4206204)"))
        if sqlalchemy.inspect(engine).get_table_names():
            _log.info("bringing the tables to this release")
            utils._upgrade_db(engine)
        else:
            _log.info("making the tables")
            utils._initialize_tables(engine)
    engine.dispose()


if __name__ == "__main__":
    main()
