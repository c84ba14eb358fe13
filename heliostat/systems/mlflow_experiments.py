"""What a branch's environment leaves in MLflow, and takes away where its runs are not to be kept."""

from __future__ import annotations

from typing import Any

from heliostat.systems.mlflow_registry import Registry


class Experiments(Registry):
    """One tracking server, whose experiments go. Use as a context manager."""

    def delete(self, experiment: str) -> int:
        """Delete an experiment (by name) with its runs; tells how many runs went.

        A run that a registered version is of stays, and with it the experiment: such a model may serve elsewhere.
        """
        found = self._call("GET", "experiments/get-by-name", absent_is_none=True, params={"experiment_name": experiment})
        if found is None or found["experiment"]["lifecycle_stage"] != "active":
            return 0
        number = str(found["experiment"]["experiment_id"])
        runs = self._every_run(number)
        unused = [run_id for run_id in runs if not self._is_registered(run_id)]
        for run_id in unused:
            self._post("runs/delete", run_id=run_id)
        if len(unused) == len(runs):
            self._post("experiments/delete", experiment_id=number)
        return len(unused)

    def _every_run(self, experiment: str) -> list[str]:
        found: list[str] = []
        body: dict[str, Any] = {"experiment_ids": [experiment], "max_results": 1000}
        while True:
            answer = self._post("runs/search", **body)
            found += [str(each["info"]["run_id"]) for each in answer.get("runs", [])]
            if not answer.get("next_page_token"):
                return found
            body["page_token"] = answer["next_page_token"]

    def _is_registered(self, run_id: str) -> bool:
        found = self._call("GET", "model-versions/search", params={"filter": f"run_id='{run_id}'", "max_results": 1}) or {}
        return bool(found.get("model_versions"))
