"""What a rollout survives: `pytest --faults` kills each part of the system at each state of each strategy."""
