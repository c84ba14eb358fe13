"""Which permission each call of the API needs, and who may make it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, HTTPException, Request, status

from heliostat.controller.traffic_api import PREFIX
from heliostat.spec.roles import Identity, Permission, refusal

_SEE: Final = (Permission.SEE,)
_NEEDS: Final[dict[tuple[str, str], tuple[Permission, ...]]] = {
    ("PUT", "/v1/applications/{name}"): (Permission.DECLARE,),
    ("DELETE", "/v1/applications/{name}"): (Permission.DECLARE,),
    ("POST", "/v1/applications/{name}/plan"): (Permission.DECLARE,),
    ("POST", "/v1/applications/{name}/approve"): (Permission.APPROVE,),
    ("POST", "/v1/applications/{name}/abort"): (Permission.ROLL_BACK,),
    ("POST", "/v1/applications/{name}/rollback"): (Permission.ROLL_BACK,),
    ("GET", "/v1/applications/{name}/tasks/{task}"): (Permission.DECLARE,),
    ("POST", "/v1/applications/{name}/tasks/{task}/retry"): (Permission.DECLARE,),
    ("POST", "/v1/applications/{name}/tasks/{task}/cancel"): (Permission.DECLARE,),
    ("POST", "/v1/environments/{environment}/orders"): (Permission.ENVIRONMENTS,),
    ("GET", "/v1/access"): _SEE,
    ("PUT", "/v1/access"): (Permission.GRANT,),
    ("DELETE", "/v1/access"): (Permission.GRANT,),
    ("GET", "/v1/whoami"): (),
    ("GET", "/v1/audit"): (Permission.AUDIT,),
    ("GET", "/v1/audit/anchor"): (Permission.AUDIT,),
    ("POST", "/v1/applications/{name}/alarms/acknowledge"): (Permission.ALARMS,),
    ("POST", "/v1/applications/{name}/alarms/silence"): (Permission.ALARMS,),
    ("POST", "/v1/applications/{name}/alarms/unsilence"): (Permission.ALARMS,),
    ("GET", "/v1/applications/{name}/reviews/next"): (Permission.REVIEW,),
    ("PUT", "/v1/applications/{name}/reviews/{item}"): (Permission.REVIEW,),
    ("DELETE", "/v1/applications/{name}/reviews/{item}"): (Permission.REVIEW,),
    ("POST", "/v1/applications/{name}/data-sets/pruned"): (Permission.DECLARE,),
    ("POST", "/v1/applications/{name}/erasures"): (Permission.ERASE,),
    ("PUT", "/v1/applications/{name}/erasures/{erasure}"): (Permission.ERASE,),
}
"""One of them, of those that do more than read what is to be seen; a call that changes something and is not here is for who
may do everything."""


def needed(method: str, path: str) -> tuple[Permission, ...]:
    """What a call needs, by its route: one of these; nothing where everybody who is let in may make it."""
    found = _NEEDS.get((method, path))
    if found is not None:
        return found
    return _SEE if method in ("GET", "HEAD") else (Permission.GRANT,)


async def authorize(request: Request) -> None:
    """Raise 403 where who was let in may not make a call, with what is missing."""
    who: Identity = request.state.identity
    path = request.scope["route"].path
    if path.startswith(PREFIX):
        return  # the door says who may
    permissions = needed(request.method, path)
    application = request.path_params.get("name")
    if permissions and not any(who.may(each, application) for each in permissions):
        raise HTTPException(status.HTTP_403_FORBIDDEN, refusal(who, permissions, application))


def identity(request: Request) -> Identity:
    """Who makes a call."""
    found: Identity = request.state.identity
    return found


Who = Annotated[Identity, Depends(identity)]
"""Who makes a call, as a call's argument."""
