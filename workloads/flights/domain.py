"""What the flights workload knows of the world: the carriers and airports that a model can have learnt about.

The contract refuses everything else, the snapshot fails on it: a model has nothing to say of what it never saw, and a
new airport is a change of the contract that clients should hear of.
"""

from __future__ import annotations

from typing import Literal, get_args

Carrier = Literal["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
"""IATA code of the airline that sells the flight."""

Origin = Literal["EWR", "JFK", "LGA"]
"""IATA code of the airport of departure: New York's three."""

Destination = Literal[
    "ABQ", "ACK", "ALB", "ANC", "ATL", "AUS", "AVL", "BDL", "BGR", "BHM", "BNA", "BOS", "BQN", "BTV", "BUF", "BUR", "BWI",
    "BZN", "CAE", "CAK", "CHO", "CHS", "CLE", "CLT", "CMH", "CRW", "CVG", "DAY", "DCA", "DEN", "DFW", "DSM", "DTW", "EGE",
    "EYW", "FLL", "GRR", "GSO", "GSP", "HDN", "HNL", "HOU", "IAD", "IAH", "ILM", "IND", "JAC", "JAX", "LAS", "LAX", "LEX",
    "LGA", "LGB", "MCI", "MCO", "MDW", "MEM", "MHT", "MIA", "MKE", "MSN", "MSP", "MSY", "MTJ", "MVY", "MYR", "OAK", "OKC",
    "OMA", "ORD", "ORF", "PBI", "PDX", "PHL", "PHX", "PIT", "PSE", "PSP", "PVD", "PWM", "RDU", "RIC", "ROC", "RSW", "SAN",
    "SAT", "SAV", "SBN", "SDF", "SEA", "SFO", "SJC", "SJU", "SLC", "SMF", "SNA", "SRQ", "STL", "STT", "SYR", "TPA", "TUL",
    "TVC", "TYS", "XNA",
]  # fmt: skip
"""IATA code of the airport of arrival."""

CARRIERS: tuple[str, ...] = get_args(Carrier)
ORIGINS: tuple[str, ...] = get_args(Origin)
DESTINATIONS: tuple[str, ...] = get_args(Destination)
