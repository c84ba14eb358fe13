"""One step of the digits training, of JAX alone: scripts/digits_step.py measures it where nothing else is installed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from workloads.digits.model import logits


def loss(weights: Any, images: Any, labels: Any) -> Any:
    """The mean cross entropy of a batch."""
    found = logits(jnp, weights, images)
    likely = jax.nn.log_softmax(found)
    return -jnp.mean(jnp.take_along_axis(likely, labels[:, None], axis=1))


gradients = jax.jit(jax.value_and_grad(loss))
"""`(weights, images, labels) -> (loss, gradients)`."""


@jax.jit  # type: ignore[untyped-decorator]  # where JAX is not installed
def step(weights: Any, velocity: Any, images: Any, labels: Any, rate: Any, momentum: Any) -> Any:
    """Weights and velocity after a step, and the loss before it. Of arrays that are spread over devices, JAX adds up."""
    value, slopes = jax.value_and_grad(loss)(weights, images, labels)
    velocity = {name: momentum * velocity[name] - rate * slopes[name] for name in weights}
    return {name: weights[name] + velocity[name] for name in weights}, velocity, value
