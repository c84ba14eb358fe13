"""Rollouts in memory: does a strategy promote a good version, and refuse a bad one?"""

from heliostat.testing.simulation.behaviour import Traffic, VersionBehaviour
from heliostat.testing.simulation.outcome import RolloutOutcome, simulate
from heliostat.testing.simulation.simulation import RolloutSimulation, SimulatedEvent

__all__ = ["RolloutOutcome", "RolloutSimulation", "SimulatedEvent", "Traffic", "VersionBehaviour", "simulate"]
