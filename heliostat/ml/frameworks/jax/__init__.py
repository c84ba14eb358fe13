"""JAX: `group` makes one group of a training's workers, on CPUs, GPUs or TPUs. Import what is needed."""

__all__ = ["group"]
