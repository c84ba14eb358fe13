"""What `heliostat rollout`, `history` and `rollback` are made of."""
