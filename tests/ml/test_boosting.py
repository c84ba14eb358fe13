"""Boosting on the training context."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from heliostat.ml.boosting import Examples, Plan, boost
from heliostat.ml.curve import Curve
from heliostat.ml.training import Context

SETTINGS = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 5, "seed": 1, "deterministic": True}


class Alone(Context):
    """One worker without Ray; checkpoints go to a folder, and after `dies_after` of them it dies."""

    kept: Path
    dies_after = 99

    @contextmanager
    def resumed(self):
        yield self.kept if (self.kept / "model.txt").is_file() else None

    def checkpoint(self, save, metrics):
        save(self.kept)
        self.dies_after -= 1
        if not self.dies_after:
            raise KeyboardInterrupt

    def tell(self, step, steps, metrics, began_at=0):
        self.told.append((step, sorted(metrics)))


@pytest.fixture
def context(tmp_path):
    alone = Alone({}, None, 0, 1, 1, (), Curve("", ""))
    alone.kept, alone.told = tmp_path, []
    return alone


def examples(rows=400, seed=0):
    generator = np.random.default_rng(seed)
    features = np.column_stack([generator.integers(0, 5, rows), generator.random(rows)]).astype(float)
    return Examples(features, (features[:, 1] + features[:, 0] / 10 + generator.normal(0, 0.2, rows) > 0.7).astype(float))


def run(context, rounds=20):
    return boost(context, SETTINGS, examples(), examples(200, 1), ("kind", "size"), ("kind",), Plan(rounds, 5, 4))


def test_a_killed_training_resumes_from_its_checkpoint_and_ends_with_all_rounds(context):
    context.dies_after = 2
    with pytest.raises(KeyboardInterrupt):
        run(context)
    assert [step for step, _ in context.told] == [5]
    context.told.clear()
    booster = run(context)
    assert booster.current_iteration() == 20
    assert [step for step, _ in context.told] == [10, 15, 20], "rounds before the checkpoint are not trained again"
    assert context.told[0][1] == ["validation_log_loss", "validation_roc_auc"]


def test_a_finished_training_is_not_trained_further(context):
    whole = run(context)
    whole.save_model(str(context.kept / "model.txt"), num_iteration=-1)
    context.told.clear()
    assert run(context).current_iteration() == 20
    assert context.told == []
