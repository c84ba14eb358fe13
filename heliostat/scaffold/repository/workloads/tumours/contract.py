"""What clients send and get, and requests that prove that a version works before it takes traffic."""

from heliostat.ml.contracts import Contract, Golden
from pydantic import BaseModel

from workloads.tumours.predictor import Model


class Row(BaseModel, extra="forbid", allow_inf_nan=False):
    """One row of a request; its fields are the columns that the predictor is given."""

    mean_radius: float
    mean_texture: float
    mean_concavity: float


class Answer(BaseModel):
    """The answer to one row."""

    probability: float
    malignant: bool


def respond(score: float) -> Answer:
    """The answer that a model's score means."""
    return Answer(probability=round(score, 6), malignant=score >= 0.5)


TITLE = "Tumours"
EXAMPLE = Row(mean_radius=17.99, mean_texture=10.38, mean_concavity=0.3001)
GOLDEN = (Golden("a row", EXAMPLE.model_dump()), Golden("a row with nothing in it", {}, status=422))
CONTRACT = Contract(TITLE, "Is a tumour malignant?", Row, Answer, Model, respond, examples=(EXAMPLE,), golden=GOLDEN)
