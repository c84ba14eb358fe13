"""Who may do what, of those who call a controller."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Address, Resource, wire
from heliostat.spec.roles import AccessPolicy


class Access(Resource):
    """People with their roles, whom a controller lets in by their tokens.

    Who changes it needs the role admin: `up` runs with the stack's own token, or with the one in HELIOSTAT_TOKEN. Each change
    is in the audit log. Where it is taken away, the stack's own token is good for everything again.

    Args:
        name: The resource's name.
        policy: The people, by name, and what the stack's own token is good for.
        controller: The `address` of the controller.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:Access"  # noqa: S105 - a type, no secret

    def __init__(
        self,
        name: str,
        policy: AccessPolicy,
        controller: pulumi.Input[Address],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        people = {person: wire(each) for person, each in policy.people.items()}
        super().__init__(name, opts, people=people, stack_token=policy.stack_token, controller=controller)
