"""How many workers an elastic training has: as many as there is room for now, beside all else that the cluster runs.

Ray's own policy counts what nodes have in all, less what other trainings asked for: beside replicas it starts workers that
find no room, and waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from ray._private.state import available_resources_per_node
from ray.train.v2._internal.execution.scaling_policy import ElasticScalingPolicy, NoopDecision, ScalingDecision

SETTLED_SECONDS: Final = 2.0
"""How long a count below the most must stay: what a lost group held is free a moment after it is gone."""


class Elastic(ElasticScalingPolicy):
    """Asks the autoscaler for the most, and starts with what there is."""

    release: Callable[[], None] = staticmethod(lambda: None)
    """Ends what is left of a group that lost a worker. Ray keeps it until there is another, with all that it holds; the
    other would wait for that room for ever."""
    _held = 0
    _seen: tuple[int, float] = (-1, 0.0)

    def make_decision_for_non_running_worker_group(self) -> ScalingDecision:
        """Start as many as there is room for, once that does not change any more."""
        self.release()
        self._held = 0
        decision = super().make_decision_for_non_running_worker_group()
        count = getattr(decision, "num_workers", -1)
        now = time.monotonic()
        if count != self._seen[0]:
            self._seen = (count, now)
        if count < self.scaling_config.max_workers and now - self._seen[1] < SETTLED_SECONDS:
            return NoopDecision()
        self._seen = (-1, 0.0)
        return decision

    def make_decision_for_running_worker_group(self, worker_group_state: Any, worker_group_status: Any) -> ScalingDecision:
        """Grow where there is room for more."""
        self._held = worker_group_state.num_workers
        decision = super().make_decision_for_running_worker_group(worker_group_state, worker_group_status)
        return decision if getattr(decision, "num_workers", 0) > self._held else NoopDecision()

    def _count_possible_workers(self, reserved_resources: dict[str, dict[str, float]]) -> int:
        free: int = super()._count_possible_workers(reserved_resources)
        return min(free + self._held, self.scaling_config.max_workers)

    def _get_reserved_resources(self) -> Any:
        return available_resources_per_node()  # type: ignore[no-untyped-call]
