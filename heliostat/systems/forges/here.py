"""Which forge a CI job runs for, by the variables that it sets; and which pull request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from heliostat.systems.errors import PermanentError
from heliostat.systems.forges import Forge
from heliostat.systems.forges.gitea import Gitea
from heliostat.systems.forges.github import GitHub
from heliostat.systems.forges.gitlab import GitLab

KIND, URL, REPOSITORY, TOKEN = (f"HELIOSTAT_FORGE{each}" for each in ("", "_URL", "_REPOSITORY", "_TOKEN"))
"""They say it where no CI system does, and go before what one says."""
_KINDS: Final[Mapping[str, Callable[[str, str, str], Forge]]] = {"github": GitHub, "gitlab": GitLab, "gitea": Gitea}
_TOKENS: Final = {
    "github": ("GITHUB_TOKEN", "GH_TOKEN"),
    "gitlab": ("GITLAB_TOKEN",),
    "gitea": ("GITEA_TOKEN", "GITHUB_TOKEN"),
}
_OF_GITHUB: Final = re.compile(r"refs/pull/(\d+)/(?:merge|head)")


@dataclass(frozen=True)
class Repository:
    """A repository on a forge."""

    kind: str
    url: str
    name: str


def repository_here(environment: Mapping[str, str]) -> Repository:
    """The repository that this job is of.

    Raises:
        PermanentError: nothing says it, or a kind is named that there is none of.
    """
    said = environment.get(KIND, "")
    if said and said not in _KINDS:
        raise PermanentError(f"{KIND}={said!r}: there are {', '.join(_KINDS)}")
    kind = said or _kind(environment)
    if not kind:
        raise PermanentError(
            f"nothing says which forge this is for: set {KIND} ({', '.join(_KINDS)}), {URL}, {REPOSITORY} and {TOKEN}, or run "
            "it in a job of GitHub Actions, GitLab CI, or Gitea's or Forgejo's Actions"
        )
    usual_url, usual_name = {
        "github": (environment.get("GITHUB_API_URL") or "https://api.github.com", environment.get("GITHUB_REPOSITORY", "")),
        "gitea": (environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_REPOSITORY", "")),
        "gitlab": (environment.get("CI_API_V4_URL") or "https://gitlab.com/api/v4", environment.get("CI_PROJECT_ID", "")),
    }[kind]
    url, name = environment.get(URL) or usual_url, environment.get(REPOSITORY) or usual_name
    missing = [variable for variable, value in ((URL, url), (REPOSITORY, name)) if not value]
    if missing:
        raise PermanentError(f"the forge {kind} needs {' and '.join(missing)}")
    return Repository(kind, url, name)


def open_forge(environment: Mapping[str, str]) -> Forge:
    """The forge of this job, with its token.

    Raises:
        PermanentError: nothing says which it is, or there is no token.
    """
    found = repository_here(environment)
    names = (TOKEN, *_TOKENS[found.kind])
    token = next((environment[name] for name in names if environment.get(name)), "")
    if not token:
        raise PermanentError(f"there is no token for {found.url}: set one of {', '.join(names)}, as a secret of the CI system")
    return _KINDS[found.kind](found.url, found.name, token)


def pull_request_here(environment: Mapping[str, str]) -> int | None:
    """The number of the pull request that this job is for; None of any other job."""
    of_gitlab = environment.get("CI_MERGE_REQUEST_IID", "")
    if of_gitlab.isdigit():
        return int(of_gitlab)
    found = _OF_GITHUB.fullmatch(environment.get("GITHUB_REF", ""))
    return int(found[1]) if found else None


def _kind(environment: Mapping[str, str]) -> str:
    if environment.get("GITLAB_CI"):
        return "gitlab"
    if environment.get("GITEA_ACTIONS") or environment.get("FORGEJO_ACTIONS"):
        return "gitea"
    return "github" if environment.get("GITHUB_ACTIONS") else ""
