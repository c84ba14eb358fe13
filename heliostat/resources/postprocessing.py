"""Post-processing steps as they are declared: where their code and lists are, and the digest of the code."""

from __future__ import annotations

from collections.abc import Callable

from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.spec.training_resources import Code


def below(package: str, step: PostprocessingStep) -> PostprocessingStep:
    """A step whose function and lists were named from a package, as they are named from the checkout."""
    folder = package.replace(".", "/")
    lists = {
        name: each if each.key is not None else each.model_copy(update={"source": f"{folder}/{each.source}"})
        for name, each in step.lists.items()
    }
    return step.model_copy(update={"function": f"{package}.{step.function}", "lists": lists})


def with_code_digests(steps: tuple[PostprocessingStep, ...], code: Callable[[str], Code]) -> tuple[PostprocessingStep, ...]:
    """Steps with the digest of the source that each of them needs, which `code` gives for an entry point."""
    return tuple(step.model_copy(update={"code_digest": code(step.function).digest}) for step in steps)
