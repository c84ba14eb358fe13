"""A page about a workload: what serves, how it does, and what became of it; whole in itself, without a network."""
