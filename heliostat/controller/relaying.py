"""Who a call is made for, where it passes on what somebody wrote on a forge."""

from __future__ import annotations

from fastapi import HTTPException, Request, status

from heliostat.spec.logins import ON_BEHALF_OF, login_of
from heliostat.spec.roles import AccessPolicy, Identity, Permission, Role, relayed


def speaker(request: Request, policy: AccessPolicy, who: Identity) -> Identity:
    """The person whose words a call passes on; `who` it is by itself where it passes on nobody's.

    The stack's own token passes on nothing: anybody who has it could say that it was anybody.

    Raises:
        HTTPException: 403: `who` may not pass on words, or nobody has the login.
    """
    said = request.headers.get(ON_BEHALF_OF)
    if said is None:
        return who
    if not who.known or not who.may(Permission.RELAY):
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            f"{who.name} may not pass on what others wrote: that needs a token of its own with the role {Role.RELAY}; "
            f"`heliostat access token NAME --role {Role.RELAY}` makes one, for HELIOSTAT_TOKEN",
        )
    login = login_of(said)
    person = relayed(policy, who, login) if login is not None else None
    if login is None or person is None:
        how = f"; who may `grant` writes `logins: {{{login.kind}: {login.name}}}` where it is somebody's" if login else ""
        raise HTTPException(
            status.HTTP_403_FORBIDDEN, f"{said} is nobody's login of those whom the stack's `access` section names{how}"
        )
    return person
