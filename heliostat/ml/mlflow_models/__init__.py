"""Models that others logged with MLflow, behind a contract that is a file: `contract.yaml` in the workload's folder."""
