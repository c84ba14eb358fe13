"""A contract whose rows and answers have tensors, texts, lists and what is none of them."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from serving_fakes import Halves, answers

from heliostat.ml.contracts import Contract
from heliostat.ml.tensors import Tensor
from heliostat.serving.rest.application import RestApplication


class Picture(BaseModel):
    model_config = ConfigDict(extra="forbid")
    image: Annotated[NDArray[np.float32], Tensor("FP32", (2, 3))]
    mask: Annotated[NDArray[np.bool_], Tensor("BOOL", (-1,))] | None = None
    title: str = "none"
    boxes: list[list[int]] = []
    about: dict[str, int] = {}
    count: Annotated[int, Field(alias="howMany")] = 1
    weight: float | None = None


class Seen(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    light: Annotated[NDArray[np.float32], Tensor("FP32", (3,))]
    mean: float | None
    label: str
    ranks: list[int]
    extra: dict[str, str]
    bright: bool


class Means(Halves):
    """The mean of each column of the image."""

    def predict(self, columns: Any) -> Any:
        assert isinstance(columns["image"], np.ndarray)
        assert columns["image"].dtype == np.float32
        return columns["image"].mean(axis=1)


def respond(score: Any) -> Seen:
    light = np.asarray(score, np.float32)
    mean = float(light.mean())
    return Seen(
        light=light, mean=None if mean < 0 else mean, label="é" * int(max(mean, 0)), ranks=[1, 2], extra={"a": "b"},
        bright=mean > 1,
    )  # fmt: skip


PICTURES: Contract[Any, Any] = Contract(
    title="Pictures", description="Light by column.", row=Picture, answer=Seen, predictor=Means, respond=respond,
    examples=(Picture(image=np.ones((2, 3), np.float32)),),
)  # fmt: skip


def pictures(log: Any) -> RestApplication:
    return answers(log, PICTURES)
