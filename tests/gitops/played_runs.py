"""Runs of a forge's CI system, by the REST paths that are in use, as GitHub's and GitLab's documentation has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PASSED, FAILED, SKIPPED, GOES_ON, CANCELLED = "passed", "failed", "skipped", "goes on", "cancelled"
_OF_GITHUB = {PASSED: "success", FAILED: "failure", SKIPPED: "skipped", GOES_ON: None, CANCELLED: "cancelled"}
_OF_GITLAB = {PASSED: "success", FAILED: "failed", SKIPPED: "skipped", GOES_ON: "running", CANCELLED: "canceled"}


@dataclass
class PlayedRun:
    """A run for a push to a branch: its jobs by name, each with how it stands."""

    id: int
    commit: str
    jobs: dict[str, str]
    branch: str = "main"
    attempts: int = 1

    def number(self, name: str) -> int:
        """By which the forge knows a job; those of later attempts have higher ones."""
        return self.id * 1000 + self.attempts * 10 + [*self.jobs].index(name)


@dataclass
class PlayedRuns:
    """All of them, the latest last."""

    there: list[PlayedRun] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    """The jobs that were begun again, by name."""

    def answer(self, kind: str, method: str, path: str, said: dict[str, Any]) -> Any:
        """What the forge answers; None of a path that is not of runs."""
        parts = path.split("/")
        how = {"github": self._github, "gitlab": self._gitlab, "gitea": self._gitea}
        return how[kind](method, parts, said)

    def _github(self, method: str, parts: list[str], said: dict[str, Any]) -> Any:
        match method, parts:
            case "GET", ["actions", "runs"]:
                assert said["event"] == "push"
                return {"workflow_runs": [self._run(each) for each in self._last(said["branch"])]}
            case "GET", ["actions", "runs", number, "jobs"]:
                assert said["filter"] == "latest"
                run = self._of(int(number))
                jobs = [{"id": run.number(name), "name": name, **_github_job(how)} for name, how in run.jobs.items()]
                return {"total_count": len(jobs), "jobs": jobs}
            case "POST", ["actions", "jobs", number, "rerun"]:
                self._begin_again(int(number))
                return {}
        return None

    def _gitlab(self, method: str, parts: list[str], said: dict[str, Any]) -> Any:
        match method, parts:
            case "GET", ["pipelines"]:
                assert said["source"] == "push"
                last = self._last(said["ref"])
                return [{"id": each.id, "sha": each.commit, "web_url": _url(each)} for each in last]
            case "GET", ["pipelines", number, "jobs"]:
                assert said["include_retried"] == "true"
                run = self._of(int(number))
                before = [
                    {"id": run.id * 1000 + attempt * 10 + place, "name": name, "status": "failed"}
                    for attempt in range(1, run.attempts)
                    for place, name in enumerate(run.jobs)
                ]
                now = [{"id": run.number(name), "name": name, "status": _OF_GITLAB[how]} for name, how in run.jobs.items()]
                return [*now, *before]
            case "POST", ["jobs", number, "retry"]:
                self._begin_again(int(number))
                return {"id": int(number) + 10}
        return None

    def _gitea(self, method: str, parts: list[str], said: dict[str, Any]) -> Any:
        match method, parts:
            case "GET", ["actions", "runs"]:
                assert said["event"] == "workflow_dispatch"
                return {"workflow_runs": [self._run(each) for each in self._last(said["branch"])]}
            case "GET", ["actions", "runs", number, "jobs"]:
                return self._github(method, parts, {"filter": "latest"})
            case "POST", ["actions", "runs", _, "jobs", number, "rerun"]:
                self._begin_again(int(number))
                return {"id": int(number) + 10}
        return None

    def _run(self, run: PlayedRun) -> dict[str, Any]:
        return {"id": run.id, "head_sha": run.commit, "html_url": _url(run), "run_attempt": run.attempts}

    def _last(self, branch: str) -> list[PlayedRun]:
        return [each for each in reversed(self.there) if each.branch == branch]

    def _of(self, number: int) -> PlayedRun:
        return next(each for each in self.there if each.id == number)

    def _begin_again(self, number: int) -> None:
        (found,) = ((run, name) for run in self.there for name in run.jobs if run.number(name) == number)
        run, name = found
        run.jobs[name] = GOES_ON
        run.attempts += 1
        self.begun.append(name)


def _github_job(how: str) -> dict[str, Any]:
    return {"status": "in_progress" if how == GOES_ON else "completed", "conclusion": _OF_GITHUB[how]}


def _url(run: PlayedRun) -> str:
    return f"https://forge/runs/{run.id}"
