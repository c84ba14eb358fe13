"""The coordinator of a federated training: what it keeps, what it tells sites, and how they reach it."""
