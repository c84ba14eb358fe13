"""What is said of a request that the application failed on: to its client that, to people why."""

from __future__ import annotations

from heliostat.serving.postprocessing import StepError


def failure(error: BaseException) -> str:
    """For the client: no more than the kind of the error; of a post-processing step, which one it was."""
    kind = getattr(error, "kind", type(error).__name__)  # one that is told without personal values has another class
    text = str(error) if isinstance(error, StepError) else f"the application failed on this request ({kind})"
    return f"{text}; its log has more under this request id"


def report(request_id: bytes) -> None:
    """Log the error that is being handled."""
    import logging

    logging.getLogger("ray.serve").exception("request %s failed", request_id.decode("latin-1"))
