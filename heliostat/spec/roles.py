"""Who may do what: people with tokens, their roles, and what each role is good for."""

from __future__ import annotations

import hashlib
from collections import Counter
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Digest, Model, Name, is_empty
from heliostat.spec.logins import ForgeKind, Login, LoginName


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
    ENVIRONMENTS = "keep environments"
    """Have a branch's environment stay longer, or go before its time, by a comment."""
    ALARMS = "take alarms of"
    """Take an alarm of a monitor, keep alarms silent for a while, or have them told again."""
    REVIEW = "review"
    """Read answers that wait for a person, and label them."""
    ERASE = "erase"
    """Delete what is kept of a person."""
    AUDIT = "audit"
    """Read the audit log."""
    GRANT = "grant"
    """Change who may do what."""
    RELAY = "relay"
    """Pass on what people wrote on a forge, in whose names it is done then."""


class Role(StrEnum):
    """A set of permissions."""

    VIEWER = "viewer"
    """May see."""
    REVIEWER = "reviewer"
    """May see, and label answers."""
    APPROVER = "approver"
    """May see, approve and roll back, keep environments, and take alarms of monitors."""
    OPERATOR = "operator"
    """May see, declare and roll back, keep environments, and take alarms of monitors."""
    PRIVACY_OFFICER = "privacy-officer"
    """May see, erase a person's data, and read the audit log."""
    AUDITOR = "auditor"
    """May see, and read the audit log."""
    RELAY = "relay"
    """May see, and pass on what people wrote on a forge: what CI has that answers comments of pull requests."""
    ADMIN = "admin"
    """May do everything."""


_ON_CALL: Final = (Permission.SEE, Permission.ROLL_BACK, Permission.ENVIRONMENTS, Permission.ALARMS)
MAY: Final = {
    Role.VIEWER: frozenset({Permission.SEE}),
    Role.REVIEWER: frozenset({Permission.SEE, Permission.REVIEW}),
    Role.APPROVER: frozenset({*_ON_CALL, Permission.APPROVE}),
    Role.OPERATOR: frozenset({*_ON_CALL, Permission.DECLARE}),
    Role.PRIVACY_OFFICER: frozenset({Permission.SEE, Permission.ERASE, Permission.AUDIT}),
    Role.AUDITOR: frozenset({Permission.SEE, Permission.AUDIT}),
    Role.RELAY: frozenset({Permission.SEE, Permission.RELAY}),
    Role.ADMIN: frozenset(Permission),
}
"""What each role is good for."""
RELAYED: Final = frozenset({Permission.SEE, Permission.APPROVE, Permission.ROLL_BACK, Permission.ENVIRONMENTS})
"""What may be done in somebody's name by what passes on their words, whatever else they may."""

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
    logins: dict[ForgeKind, LoginName] = Field(default={}, exclude_if=is_empty)
    """What they are called on forges, as `github: ada`: whose comments on pull requests are theirs."""

    @property
    def known_logins(self) -> tuple[Login, ...]:
        """Their logins, as they are compared."""
        return tuple(Login.of(kind, name) for kind, name in self.logins.items())


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
        logins = Counter(login for person in self.people.values() for login in person.known_logins)
        if shared := [str(login) for login, people in logins.items() if people > 1]:
            raise ValueError(f"two people have the login {', '.join(shared)}: a login is one person's")
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
    relayed_by: str = Field(default="", exclude_if=is_empty)
    """Who passes on what this person wrote on a forge; empty where they call themselves."""

    def may(self, permission: Permission, application: str | None = None) -> bool:
        """Whether they may do something, to an application where it is done to one. Who may what is of all of them: nobody
        whose applications are some changes it, or they would give themselves the others."""
        if application is None and self.applications and permission is Permission.GRANT:
            return False
        if application is not None and self.applications and application not in self.applications:
            return False
        if self.relayed_by and permission not in RELAYED:
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


def relayed(policy: AccessPolicy, who: Identity, login: Login) -> Identity | None:
    """The person whose login it is, whose words `who` passes on; None where it is nobody's."""
    for name, person in policy.people.items():
        if login in person.known_logins:
            return Identity(name=name, known=True, roles=person.roles, applications=person.applications, relayed_by=who.name)
    return None


def refusal(who: Identity, needed: tuple[Permission, ...], application: str | None) -> str:
    """Why they may not, and what would have to be so."""
    what = " or ".join(needed)
    place = f" {application}" if application else ""
    if application and who.applications and application not in who.applications:
        return f"{who.name} may not {what}{place}: theirs are {', '.join(who.applications)}, in the stack's `access` section"
    if not application and who.applications and any(each in MAY[role] for role in who.roles for each in needed):
        return f"{who.name} may {what} of {', '.join(who.applications)} alone, and this is of all applications"
    fitting = ", ".join(role for role in Role if any(each in MAY[role] for each in needed))
    has = ", ".join(who.roles) or "no role"
    return (
        f"{who.name} may not {what}{place}: that needs one of the roles {fitting}, and {who.name} has {has}. Whoever may "
        "`grant` changes the stack's `access` section and runs `up`; with a token of your own, set HELIOSTAT_TOKEN"
    )
