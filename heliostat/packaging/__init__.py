"""Models as libraries: wheels with a model, its features and its contract, and without Ray, MLflow or Pulumi."""
