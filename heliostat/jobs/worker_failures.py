"""Why the workers of a training failed, in words."""

from __future__ import annotations


def explain(error: BaseException) -> tuple[str, str]:
    """Why a training failed, as kind and text: the workers' own traceback where there is one."""
    text = str(error)
    failures = getattr(error, "worker_failures", None)
    if failures:
        text = "\n".join(f"worker {rank}: {_shown(failure)}" for rank, failure in sorted(failures.items()))
    if "OutOfMemory" in text or "MemoryError" in text or "running low on memory" in text or "oom" in text.lower().split():
        return "memory", text
    if "WorkerCrashedError" in text or "ActorDiedError" in text or "ActorUnavailable" in text or "SIGKILL" in text:
        return "killed", text
    return "failed", text


def _shown(failure: BaseException) -> str:
    """A worker's failure with its own traceback, which `run_worker` noted."""
    notes = getattr(failure, "__notes__", None) or getattr(getattr(failure, "_base_exc", None), "__notes__", None)
    return "\n".join(notes) if notes else f"{type(failure).__name__}: {failure}"
