"""What MLflow has of a workload's trainings in all environments, and how an environment's part goes."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

from heliostat.systems.mlflow_experiments import Experiments


class PlayedServer:
    """Experiments and runs over the REST paths in use, two of each a page."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, tuple[str, dict[str, str]]] = {}
        self.registered: set[str] = set()

    def has(self, experiment: str, *runs: str, **tags: str) -> None:
        number = self.experiments.setdefault(experiment, str(len(self.experiments)))
        self.runs |= dict.fromkeys(runs, (number, tags))

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/2.0/mlflow/")
        said = dict(request.url.params) | (json.loads(request.content) if request.content else {})
        status, found = self._found(path, said)
        return httpx.Response(status, json=found)

    def _found(self, path: str, said: dict[str, Any]) -> tuple[int, Any]:
        match path:
            case "experiments/search":
                like = re.fullmatch(r"name LIKE '(.*)%'", said["filter"])
                assert like is not None
                there = [{"name": n, "experiment_id": i} for n, i in self.experiments.items() if n.startswith(like[1])]
                return self._page("experiments", there, said)
            case "experiments/get-by-name":
                number = self.experiments.get(said["experiment_name"])
                found = {"experiment": {"experiment_id": number, "lifecycle_stage": "active"}}
                return (404, {}) if number is None else (200, found)
            case "runs/search":
                wanted = dict(re.findall(r"tags\.`(.*?)` = '(.*?)'", said.get("filter", "")))
                there = [
                    run
                    for run, (number, tags) in self.runs.items()
                    if number in said["experiment_ids"] and wanted.items() <= tags.items()
                ]
                info = {"status": "FINISHED", "experiment_id": "0"}
                return self._page("runs", [{"info": {**info, "run_id": run}} for run in there], said)
            case "model-versions/search":
                run = said["filter"].removeprefix("run_id='").removesuffix("'")
                return 200, {"model_versions": [{}] if run in self.registered else []}
            case "runs/delete":
                del self.runs[said["run_id"]]
            case "experiments/delete":
                self.experiments = {n: i for n, i in self.experiments.items() if i != said["experiment_id"]}
            case _:
                raise AssertionError(path)
        return 200, {}

    def _page(self, name: str, there: list[Any], said: dict[str, Any]) -> tuple[int, Any]:
        start = int(said.get("page_token") or 0)
        token = {"next_page_token": str(start + 2)} if start + 2 < len(there) else {}
        return 200, {name: there[start : start + 2], **token}


def open_(server: PlayedServer) -> Experiments:
    return Experiments("http://mlflow", httpx.MockTransport(server.answer))


def test_a_training_is_found_in_whichever_environment_it_was_made():
    server = PlayedServer()
    server.has("flights", "mains", training="a")
    server.has("flights-late", "anothers", training="a")
    server.has("flights@x-abc", "branchs", training="a")
    server.has("flights@y-abc", "others", training="b")
    with open_(server) as experiments:
        assert {run.run_id for run in experiments.runs_of("flights", {"training": "a"})} == {"mains", "branchs"}
        assert experiments.runs_of("demand", {"training": "a"}) == []


def test_an_environment_s_experiment_goes_with_its_runs():
    server = PlayedServer()
    server.has("flights", "mains")
    server.has("flights@x-abc", "a", "b", "c")
    with open_(server) as experiments:
        assert experiments.delete("flights@x-abc") == 3
        assert experiments.delete("flights@x-abc") == 0, "it is gone"
    assert server.experiments.keys() == {"flights"} and server.runs.keys() == {"mains"}


def test_a_run_that_a_version_is_of_stays_with_its_experiment():
    server = PlayedServer()
    server.has("flights@x-abc", "a", "b", "c")
    server.registered.add("b")
    with open_(server) as experiments:
        assert experiments.delete("flights@x-abc") == 2
    assert server.experiments.keys() == {"flights@x-abc"} and server.runs.keys() == {"b"}
