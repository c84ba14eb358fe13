"""scikit-learn: `state` is what a training fits on its data and an answer needs, `frames` the rows of both. Import
what is needed."""

__all__ = ["frames", "state"]
