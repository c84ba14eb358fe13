"""From a notebook, a script or an MLflow run to a workload. What is decided is pure; `recording` and `verifying` are
programs."""
