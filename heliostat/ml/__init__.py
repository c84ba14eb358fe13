"""What workloads import: the names in `__all__` of these modules.

They stay, or are found under their former names too; whatever else is in this package is the library's own.
"""

__all__ = [
    *("arrays", "checks", "contracts", "datasets", "extras", "federated", "flow", "frameworks", "ground_truth", "in_memory"),
    *("metrics", "personal", "postprocessing", "predictions", "recency", "tasks", "tensors", "training"),
]
