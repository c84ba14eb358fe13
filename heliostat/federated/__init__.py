"""Federated training's arithmetic and rules, pure: exact sums, clipping, noise, masks, and what a round does next."""
