"""KubeRay's objects in a cluster, and the pods that it makes of them, by the API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import httpx

from heliostat.spec.addresses import RayClusterAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kubernetes_api import RefusedError, to_api_async

_CALL_SECONDS: Final = 30.0
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}


class KubeRay:
    """RayJobs of one namespace. Use as an async context manager.

    Every call raises RetryableError where the API server does not answer, and PermanentError where it refuses.
    """

    def __init__(self, cluster: RayClusterAddress) -> None:
        self._cluster = cluster
        transport = to_api_async(cluster.where, f"RayJobs in the namespace {cluster.namespace}")
        self._client = httpx.AsyncClient(transport=transport, base_url="http://kubernetes", timeout=_CALL_SECONDS)
        self._own = f"/apis/ray.io/v1/namespaces/{cluster.namespace}"
        self._core = f"/api/v1/namespaces/{cluster.namespace}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def pattern(self) -> dict[str, Any]:
        """The RayCluster that the address names.

        Raises:
            RetryableError: it is not there.
        """
        found = await self._get(f"{self._own}/rayclusters/{self._cluster.name}")
        if found is None:
            raise RetryableError(
                f"the Ray cluster {self._cluster.name}, as which a cluster of its own is made, is not in the namespace "
                f"{self._cluster.namespace}: bring the platform up"
            )
        return found

    async def jobs(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """The RayJobs with these labels."""
        return await self._list(f"{self._own}/rayjobs", labelSelector=",".join(f"{key}={labels[key]}" for key in labels))

    async def job(self, name: str) -> dict[str, Any] | None:
        """The RayJob of a name; None where there is none."""
        return await self._get(f"{self._own}/rayjobs/{name}")

    async def create(self, job: Mapping[str, Any], *, rehearsal: bool = False) -> None:
        """Make a RayJob; where its name is taken already, somebody else just did, and that is as good. A field that its
        definition lacks, which the API server would drop, is refused.

        Args:
            job: The manifest.
            rehearsal: Whether the API server only says what it would say.
        """
        query = {"fieldValidation": "Strict", **({"dryRun": "All"} if rehearsal else {})}
        try:
            await self._call("POST", f"{self._own}/rayjobs", params=query, json=dict(job))
        except RefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                raise PermanentError(
                    "the cluster has no RayJobs of ray.io/v1: KubeRay's definitions are missing or too old; bring the "
                    "platform up with an operator of the release that it asks for"
                ) from None
            if error.status != httpx.codes.CONFLICT:
                raise

    async def change(self, name: str, change: Mapping[str, Any]) -> None:
        """Merge a change into a RayJob; nothing where it is gone."""
        await self._unless_gone("PATCH", name, json=dict(change), headers=_MERGE)

    async def delete(self, name: str) -> None:
        """Delete a RayJob with all that KubeRay made for it; nothing where it is gone."""
        await self._unless_gone("DELETE", name, params={"propagationPolicy": "Background"})

    async def pods(self, ray_cluster: str) -> list[dict[str, Any]]:
        """The pods of a Ray cluster; none where this user may not see them."""
        return await self._seen(f"{self._core}/pods", labelSelector=f"ray.io/cluster={ray_cluster}")

    async def events(self, pod: str) -> list[dict[str, Any]]:
        """What was told of a pod; nothing where this user may not see it."""
        chosen = f"involvedObject.kind=Pod,involvedObject.name={pod}"
        return await self._seen(f"{self._core}/events", fieldSelector=chosen)

    async def _unless_gone(self, method: str, name: str, **arguments: Any) -> None:
        try:
            await self._call(method, f"{self._own}/rayjobs/{name}", **arguments)
        except RefusedError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    async def _get(self, path: str) -> dict[str, Any] | None:
        try:
            return dict(await self._call("GET", path))
        except RefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    async def _list(self, path: str, **query: str) -> list[dict[str, Any]]:
        try:
            return list((await self._call("GET", path, params=query))["items"])
        except RefusedError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return []
            raise

    async def _seen(self, path: str, **query: str) -> list[dict[str, Any]]:
        try:
            return await self._list(path, **query)
        except RefusedError as error:
            if error.status == httpx.codes.FORBIDDEN:
                return []
            raise

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            return (await self._client.request(method, path, **arguments)).raise_for_status().json()
        except httpx.HTTPError as error:
            raise RetryableError(f"the cluster's API does not answer: {error or type(error).__name__}") from None
        except ValueError:
            raise PermanentError("what answers is no Kubernetes API server: name another context or kubeconfig") from None
