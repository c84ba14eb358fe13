"""Deleting what is kept of a person, and the cards of models and data sets."""
