"""Measures a step of the digits training on an accelerator: `python scripts/digits_step.py`, which needs JAX alone.

Where JAX finds no accelerator it says so and measures nothing: a step on CPUs is in `python -m bench training/digits`.
Prints a line of JSON: the device, milliseconds a step (the median and the best of the rounds), images a second.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

BATCHES = (240, 4096, 32_768)
ROUNDS, STEPS = 7, 20
SECONDS = 120.0
"""After so long no other round is begun."""


def main() -> int:
    """Measure; 0 where something was measured, 2 where there is no accelerator, or no JAX."""
    try:
        import jax
    except ModuleNotFoundError:
        print("JAX is not installed: install jax with the extra of the accelerator, as jax[cuda13] or jax[tpu]")  # noqa: T201
        return 2
    device = jax.devices()[0]
    if device.platform == "cpu":
        print(f"JAX {jax.__version__} finds no accelerator here, only CPUs: nothing is measured")  # noqa: T201
        return 2
    ends = time.monotonic() + SECONDS
    for batch in BATCHES:
        if time.monotonic() < ends:
            found = {"jax": jax.__version__, "device": device.device_kind, **measured(batch, ends)}
            print(json.dumps(found), flush=True)  # noqa: T201
    return 0


def measured(rows: int, ends: float) -> dict[str, float]:
    """Milliseconds a step of a batch, once compiled; each round waits for the device at its end alone."""
    import jax
    import numpy as np

    from workloads.digits.model import SIZE, begun
    from workloads.digits.steps import step

    generator = np.random.default_rng(0)
    images = jax.device_put(generator.uniform(0, 16, (rows, SIZE, SIZE)).astype(np.float32))
    labels = jax.device_put(generator.integers(0, 10, rows).astype(np.int32))
    weights = jax.device_put(begun(7))
    velocity = jax.device_put({name: np.zeros_like(array) for name, array in weights.items()})
    began = time.monotonic()
    weights, velocity, value = jax.block_until_ready(step(weights, velocity, images, labels, 0.001, 0.9))
    compiled, each = time.monotonic() - began, []
    while len(each) < ROUNDS and (not each or time.monotonic() < ends):
        began = time.monotonic()
        for _ in range(STEPS):
            weights, velocity, value = step(weights, velocity, images, labels, 0.001, 0.9)
        jax.block_until_ready(value)
        each.append((time.monotonic() - began) / STEPS)
    if not np.isfinite(float(value)):
        raise RuntimeError(f"the loss of {rows} rows became {float(value)}: what was measured is no training")
    middle = statistics.median(each)
    return {
        "rows": rows,
        "firstStepSeconds": round(compiled, 3),
        "medianMs": round(middle * 1000, 4),
        "bestMs": round(min(each) * 1000, 4),
        "imagesPerSecond": round(rows / middle),
    }


if __name__ == "__main__":
    sys.exit(main())
