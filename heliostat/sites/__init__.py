"""A site of a federated training: a process of its own, where the rows are, that connects out to the coordinator."""
