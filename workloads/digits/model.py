"""The network of the digits workload: two convolutions, a pooling and two dense layers, said once for both sides.

`xp` is `jax.numpy` where gradients are taken and `numpy` where a replica answers, which does without JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 8
"""Pixels of a side."""
DARKEST = 16.0
CLASSES = 10
_WIDTHS = (32, 64, 128)
_KERNEL = 3
_POOL = 2
"""Pixels of a side that become one: a quarter of the weights, which workers have to send each other after each step."""

Weights = Mapping[str, Any]


def begun(seed: int) -> dict[str, NDArray[np.float32]]:
    """The weights before the first step: the same for the same seed, on every machine."""
    generator = np.random.default_rng(seed)
    first, second, dense = _WIDTHS
    shapes = {
        "first": (_KERNEL * _KERNEL, first),
        "second": (_KERNEL * _KERNEL * first, second),
        "dense": ((SIZE // _POOL) ** 2 * second, dense),
        "answer": (dense, CLASSES),
    }
    weights: dict[str, NDArray[np.float32]] = {}
    for name, shape in shapes.items():
        weights[name] = (generator.standard_normal(shape) * np.sqrt(2 / shape[0])).astype(np.float32)
        weights[f"{name}_bias"] = np.zeros(shape[1], np.float32)
    return weights


def logits(xp: Any, weights: Weights, images: Any) -> Any:
    """What each class has for itself: `(rows, 10)` of images `(rows, 8, 8)` from 0 to 16."""
    x = images[..., None] / DARKEST
    x = _convolved(xp, x, weights["first"], weights["first_bias"])
    x = _convolved(xp, x, weights["second"], weights["second_bias"])
    x = _pooled(x)
    x = xp.maximum(x.reshape(x.shape[0], -1) @ weights["dense"] + weights["dense_bias"], 0)
    return x @ weights["answer"] + weights["answer_bias"]


def probabilities(xp: Any, weights: Weights, images: Any) -> Any:
    """The probability of each class: `(rows, 10)`, which sum to 1."""
    found = logits(xp, weights, images)
    powers = xp.exp(found - found.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _pooled(x: Any) -> Any:
    """The means of squares of pixels: `(rows, 4, 4, channels)` of `(rows, 8, 8, channels)`."""
    rows, side, _, channels = x.shape
    return x.reshape(rows, side // _POOL, _POOL, side // _POOL, _POOL, channels).mean(axis=(2, 4))


def _convolved(xp: Any, x: Any, kernel: Any, bias: Any) -> Any:
    """A convolution over 3 x 3 pixels, as one product of matrices: `(rows, 8, 8, channels)` both."""
    padded = xp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [padded[:, row : row + SIZE, column : column + SIZE] for row in range(_KERNEL) for column in range(_KERNEL)]
    return xp.maximum(xp.concatenate(shifts, axis=-1) @ kernel + bias, 0)
