"""A contract with personal fields of every treatment, and what opens it in a folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from serving_fakes import seal_here

from heliostat.ml.contracts import Contract
from heliostat.ml.personal import hashed, never_logged, truncated
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.opening import steps_of
from heliostat.serving.personal import PersonalData
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.serving.rest.application import RestApplication
from heliostat.spec.addresses import StoreAddress, TokenFile
from heliostat.spec.personal import PersonalKey, Privacy
from heliostat.spec.rollouts import ServingArguments
from heliostat.spec.workload import PredictionLog as LogSettings
from heliostat.testing.declarations import version

EMAIL, NAME, POSTCODE, STREET = "ada.lovelace@example.org", "Augusta Ada Kingç", "SW1Y-4JH", "12 St James's Square"
CLEAR = (EMAIL, NAME, POSTCODE, STREET, "Kingç", "Kingc", "lovelace")


class Home(BaseModel):
    model_config = ConfigDict(extra="forbid")
    street: Annotated[str, never_logged()] = ""
    rooms: int = 1


class Applicant(BaseModel):
    model_config = ConfigDict(extra="forbid")
    email: Annotated[str, hashed(subject=True)]
    name: Annotated[str, never_logged()]
    postcode: Annotated[str, Field(pattern=r"^[A-Z0-9]{4}-[A-Z0-9]{3}$"), truncated(keep=2)]
    age: Annotated[int, truncated(step=10)]
    income: float
    home: Home = Home()
    agreed: bool = False


class Decision(BaseModel):
    score: float
    greeting: Annotated[str, never_logged()] = ""


class Income:
    """Answers a thousandth of the income; an income of 13 is a bug that quotes the person."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        return cls()

    def predict(self, columns: Any) -> Any:
        if 13 in columns["income"]:
            logging.getLogger("ray.serve")
            raise ValueError(f"no such person: {columns['name'][0]} <{columns['email'][0]}>, {columns['age'][0]}")
        return np.asarray(columns["income"]) / 1000


EXAMPLE = {
    "email": "nobody@example.com", "name": "Nobody", "postcode": "AA1A-1AA", "age": 30, "income": 20_000.0,
    "home": {"street": "Nowhere", "rooms": 2}, "agreed": True,
}  # fmt: skip
ROW = {
    "email": EMAIL, "name": NAME, "postcode": POSTCODE, "age": 36, "income": 50_000.0,
    "home": {"street": STREET, "rooms": 7}, "agreed": True,
}  # fmt: skip


def contract(**changes: Any) -> Contract[Any, Any]:
    given: dict[str, Any] = {
        "title": "Loans", "description": "Is it granted?", "row": Applicant, "answer": Decision, "predictor": Income,
        "respond": lambda score: Decision(score=score, greeting=f"Dear {NAME}"), "examples": (Applicant(**EXAMPLE),),
        "golden": (),
    }  # fmt: skip
    return Contract(**{**given, **changes})


def key(folder: Path, name: str, text: str = "0123456789abcdef" * 4) -> PersonalKey:
    path = folder / f"{name}.key"
    path.write_text(text)
    return PersonalKey(id=name, secret=TokenFile(path=str(path)))


def arguments(folder: Path, privacy: Privacy, **changes: Any) -> ServingArguments:
    store = StoreAddress(uri=f"file://{folder}/objects")
    log = LogSettings(flush_seconds=0.05, roll_seconds=3600)
    made = version(label="3-abc", store=store, prediction_log=log, privacy=privacy, **changes)
    return ServingArguments(
        application="loans", route_prefix="/_/loans/blue", public_path="/loans", replicas=1, cpus_per_replica=1.0,
        max_ongoing_requests=8, version=made, spool=str(folder / "spool"),
    )  # fmt: skip


def opened(folder: Path, privacy: Privacy, **changes: Any) -> RestApplication:
    """As a replica opens it, but that spools are sealed in this process."""
    made, given = contract(), arguments(folder, privacy, **changes)
    steps = steps_of(given.version.postprocessing, made, given.version.store)
    columns = Columns.of(made.row, made.answer, postprocessed=steps is not None)
    settings = given.version.prediction_log
    personal = PersonalData.of(made, privacy)
    log = PredictionLog(
        settings, given.version.store, folder / "spool", "loans", "3-abc", columns,
        seal=seal_here, treat=personal.keys.treatment, review=given.version.review,
    )  # fmt: skip
    return RestApplication(DataPlane(made, made.predictor(), given.version, log, steps, personal), "/loans")
