"""What a rollout survives: `python -m bench.faults` kills each part of the system at each state of each strategy."""
