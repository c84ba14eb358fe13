"""How an operation is shown: everything here is made of the engine's events and nothing else."""
