"""What is computed of each kind of problem that a workload may declare, and a baseline of each."""

__all__ = ["baselines", "evaluation"]
