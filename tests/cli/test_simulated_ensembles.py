"""A simulated retraining keeps what the version that serves knew, as its policy says."""

from __future__ import annotations

import json

import pytest
from test_simulate import LEARNING_PREDICTOR, LEARNING_TRAIN, swans

__all__ = ["swans"]
CONFIG = """
config:
  heliostat:workloads:
    swans:
      training: {{ensemble: {{share: 0.25}}}}
      monitor:
        field: probability
        quality: [{{metric: roc_auc, margin: 0.05}}]
        retraining:
          triggers: [{{kind: finding, aspects: [quality], windows: 2}}]
          dataParameter: last_day
          {how}: true
          cooldownSeconds: 0
"""


@pytest.fixture
def retrained(swans, stack):
    def run(how: str, train: str = LEARNING_TRAIN) -> str:
        (swans / "train.py").write_text(train)
        (swans / "predictor.py").write_text(LEARNING_PREDICTOR)
        (stack.folder / "configs").mkdir(exist_ok=True)
        (stack.folder / "configs" / "Pulumi.other.yaml").write_text(CONFIG.format(how=how))
        said = stack.ok("simulate", "swans", "--from", "2020-01", "--to", "2020-06", "-s", "other", "--json")
        found: str = {each["name"]: each for each in json.loads(said)}["2020-06"]["retraining"]
        return found

    return run


def test_the_new_model_answers_together_with_the_one_that_serves(retrained):
    told = retrained("ensemble")
    assert "it answers as 75% its own model and 25% models:/swans/1: roc_auc 0." in told
    assert "accepted as version 2" in told


def test_the_function_is_given_the_model_that_serves_to_continue_from(retrained):
    noted = "    assert table.num_rows < 4_500 or context.previous.uri == 'models:/swans/1'\n    # It learns"
    assert "accepted as version 2" in retrained(
        "continues", LEARNING_TRAIN.replace("    # It learns", "    table = context.dataset.table('train')\n" + noted)
    )
