"""What was asked and answered: queued in the replica, spooled on its node, stored as Parquet."""
