"""LightGBM's random sequences, made to depend on the round alone, so that an interrupted training goes on as it would have.

LightGBM seeds its sequences once, at the beginning, and saves no state of them: whoever goes on from a saved model begins
them anew. Here they are seeded at every round that draws from them, from the training's own seeds and the round's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

_DEFAULTS: Final = {"feature_fraction_seed": 2, "extra_seed": 6, "bagging_seed": 3}
"""LightGBM's."""
_NEVER: Final = 1 << 30
"""A bagging_freq that no training reaches: bags are drawn when the parameter changes."""


def seeds(parameters: Mapping[str, Any], done: int) -> dict[str, Any]:
    """What LightGBM is to be told before the round that follows `done` rounds.

    `parameters` are under LightGBM's own names. Empty for a training that draws nothing, and for one that `differs`.
    """
    if differs(parameters):
        return {}
    found: dict[str, Any] = {}
    if _below_one(parameters, "feature_fraction", "feature_fraction_bynode"):
        found["feature_fraction_seed"] = _seed(parameters, "feature_fraction_seed", done)
    if _is_on(parameters, "extra_trees"):
        found["extra_seed"] = _seed(parameters, "extra_seed", done)
    if every := _bagging_freq(parameters):
        # LightGBM draws where something about the bagging changes, and until a booster has grown its first tree. So the bag
        # is drawn at every round, the same for as many as it is declared for.
        found |= {"bagging_seed": _seed(parameters, "bagging_seed", done // every), "bagging_freq": _NEVER + done}
    return found


def beginning(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What LightGBM is to be made with in the place of what `seeds` will tell it."""
    return {"bagging_freq": _NEVER - 1} if _bagging_freq(parameters) and not differs(parameters) else {}


def as_declared(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What `seeds` changed, as it was: for the model's own record of its parameters."""
    changed = seeds(parameters, 0)
    return {name: parameters["bagging_freq"] if name == "bagging_freq" else _own_seed(parameters, name) for name in changed}


def differs(parameters: Mapping[str, Any]) -> str:
    """Why a training with these parameters that is resumed gives another model than one in a go; empty where it does not."""
    boosting = parameters.get("boosting", "gbdt")
    if boosting == "dart":
        return "dart drops trees of this part of the training only"
    if boosting == "goss" or parameters.get("data_sample_strategy") == "goss":
        return "goss takes all rows at the beginning of this part of the training again"
    if _is_on(parameters, "linear_tree"):
        return "linear trees are fitted to scores that are rounded otherwise"
    if _is_on(parameters, "use_quantized_grad"):
        return "gradients are rounded by a random sequence that begins again"
    if any(name.startswith("cegb_") and value for name, value in parameters.items() if name != "cegb_tradeoff"):
        return "what features cost is counted from the beginning again"
    if parameters.get("objective") == "rank_xendcg":
        return "rank_xendcg's random sequence begins again"
    return ""


def starts_anew(parameters: Mapping[str, Any]) -> bool:
    """Whether LightGBM cannot go on from a saved model, so that an interrupted training begins again."""
    return parameters.get("boosting") in ("rf", "random_forest")


def _seed(parameters: Mapping[str, Any], name: str, number: int) -> int:
    """A seed for one round; seeds beside each other would give sequences that are alike."""
    own = abs(_own_seed(parameters, name))
    kind = list(_DEFAULTS).index(name)
    return int(np.random.SeedSequence([own, kind, number]).generate_state(1)[0] >> 1)


def _own_seed(parameters: Mapping[str, Any], name: str) -> int:
    return int(parameters.get(name, parameters.get("seed", _DEFAULTS[name])))


def _bagging_freq(parameters: Mapping[str, Any]) -> int:
    """Every how many rounds a bag is drawn; 0 where all rows are used."""
    draws = _below_one(parameters, "bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction")
    return max(int(parameters.get("bagging_freq", 0)), 0) if draws else 0


def _below_one(parameters: Mapping[str, Any], *names: str) -> bool:
    return any(float(parameters.get(name, 1.0)) < 1.0 for name in names)


def _is_on(parameters: Mapping[str, Any], name: str) -> bool:
    return str(parameters.get(name, False)).lower() in ("true", "1", "+")
