"""Who may do what: people with tokens, their roles, and what each role is good for."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Digest, Model, Name


class Permission(StrEnum):
    """What a call of the controller needs."""

    SEE = "see"
    """Applications, rollouts, figures."""
    DECLARE = "declare"
    """What shall serve: what `up` does; and tasks tried again, or cancelled."""
    APPROVE = "approve"
    """Let a rollout that waits for a person go on."""
    ROLL_BACK = "roll back"
    """Abort a rollout, or have serve again what served before."""
    REVIEW = "review"
    """Read answers that wait for a person, and label them."""
    ERASE = "erase"
    """Delete what is kept of a person."""
    AUDIT = "audit"
    """Read the audit log."""
    GRANT = "grant"
    """Change who may do what."""


class Role(StrEnum):
    """A set of permissions."""

    VIEWER = "viewer"
    """May see."""
    REVIEWER = "reviewer"
    """May see, and label answers."""
    APPROVER = "approver"
    """May see, approve and roll back."""
    OPERATOR = "operator"
    """May see, declare, and roll back."""
    PRIVACY_OFFICER = "privacy-officer"
    """May see, erase a person's data, and read the audit log."""
    AUDITOR = "auditor"
    """May see, and read the audit log."""
    ADMIN = "admin"
    """May do everything."""


MAY: Final = {
    Role.VIEWER: frozenset({Permission.SEE}),
    Role.REVIEWER: frozenset({Permission.SEE, Permission.REVIEW}),
    Role.APPROVER: frozenset({Permission.SEE, Permission.APPROVE, Permission.ROLL_BACK}),
    Role.OPERATOR: frozenset({Permission.SEE, Permission.DECLARE, Permission.ROLL_BACK}),
    Role.PRIVACY_OFFICER: frozenset({Permission.SEE, Permission.ERASE, Permission.AUDIT}),
    Role.AUDITOR: frozenset({Permission.SEE, Permission.AUDIT}),
    Role.ADMIN: frozenset(Permission),
}
"""What each role is good for."""

PersonName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
"""What the audit log and rollouts call somebody, as `ada` or `ada@example.com`."""


class Person(Model):
    """Somebody, or a program, with a token of their own."""

    token_sha256: Digest
    """SHA-256 of the token, as `heliostat access token NAME` makes both: the token itself stands nowhere here."""
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    """What they may do."""
    applications: tuple[Name, ...] = ()
    """The only applications that they may do it to; by default all."""


class AccessPolicy(Model):
    """Who may do what, of those who call a controller."""

    people: dict[PersonName, Person] = {}
    """By name; each is let in by their token, and the audit log has their name."""
    stack_token: tuple[Role, ...] = (Role.ADMIN,)
    """What who has the stack's own token may do, by which `up` and commands without HELIOSTAT_TOKEN come in. Where only people
    may approve, leave it `operator` and give somebody `admin`."""

    @model_validator(mode="after")
    def _can_be_changed_again(self) -> Self:
        tokens = [person.token_sha256 for person in self.people.values()]
        if len(set(tokens)) < len(tokens):
            raise ValueError("two people have the same token: make one for each")
        admins = [name for name, person in self.people.items() if Role.ADMIN in person.roles and not person.applications]
        if Role.ADMIN not in self.stack_token and not admins:
            raise ValueError("nobody could change this again: give somebody, or `stackToken`, the role admin")
        return self


class Identity(Model):
    """Who calls."""

    name: str
    known: bool
    """Whether a token of theirs says so; else they have the stack's own."""
    roles: tuple[Role, ...]
    applications: tuple[Name, ...] = ()

    def may(self, permission: Permission, application: str | None = None) -> bool:
        """Whether they may do something, to an application where it is done to one."""
        if application is not None and self.applications and application not in self.applications:
            return False
        return any(permission in MAY[role] for role in self.roles)


STACK: Final = "the stack's own token"


def token_digest(token: str) -> str:
    """What stands in a policy for a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def identity_of(policy: AccessPolicy, token: str) -> Identity | None:
    """Whose token it is; None where it is nobody's."""
    digest = token_digest(token)
    for name, person in policy.people.items():
        if person.token_sha256 == digest:
            return Identity(name=name, known=True, roles=person.roles, applications=person.applications)
    return None


def refusal(who: Identity, needed: tuple[Permission, ...], application: str | None) -> str:
    """Why they may not, and what would have to be so."""
    what = " or ".join(needed)
    place = f" {application}" if application else ""
    if application and who.applications and application not in who.applications:
        return f"{who.name} may not {what}{place}: theirs are {', '.join(who.applications)}, in the stack's `access` section"
    fitting = ", ".join(role for role in Role if any(each in MAY[role] for each in needed))
    has = ", ".join(who.roles) or "no role"
    return (
        f"{who.name} may not {what}{place}: that needs one of the roles {fitting}, and {who.name} has {has}. Whoever may "
        "`grant` changes the stack's `access` section and runs `up`; with a token of your own, set HELIOSTAT_TOKEN"
    )
