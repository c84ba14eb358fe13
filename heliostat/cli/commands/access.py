"""`heliostat access`: who may do what, and tokens for people."""

from __future__ import annotations

import click

from heliostat.cli import options, say


@click.group(cls=options.Group)
@options.everywhere
def access() -> None:
    """Show who may do what, and make somebody a token. What is so is said by the stack's `access` section."""


@access.command("show")
@options.stack
@options.as_json
@options.everywhere
def show(stack: str | None, as_json: bool) -> None:
    """Show who may do what, and who this is."""
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.spec.roles import AccessPolicy, Identity
    from heliostat.systems.controller_api import ControllerClient

    async def ask(client: ControllerClient) -> tuple[AccessPolicy | None, Identity]:
        return await client.access(), await client.whoami()

    policy, who = with_controller(stack, ask)
    if as_json:
        import json

        told = {"access": policy.model_dump(mode="json") if policy else None, "you": who.model_dump(mode="json")}
        say.out(json.dumps(told, indent=2))
        return
    if policy is None:
        say.out("Nobody said who may do what: whoever has the stack's own token may do everything.")
    else:
        from heliostat.cli.operators.tables import Column, write

        rows = [(name, ", ".join(each.roles), ", ".join(each.applications) or "all") for name, each in policy.people.items()]
        rows.append(("the stack's own token", ", ".join(policy.stack_token) or "none", "all"))
        write([Column("WHO", whole=True), Column("ROLES", whole=True), Column("APPLICATIONS")], rows)
    say.out(f"This is {who.name}: {', '.join(who.roles) or 'no role'}.")


@access.command("token")
@click.argument("name")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="What they may do; may be repeated. By default viewer.")
@click.option(
    "--login", "logins", multiple=True, metavar="FORGE:NAME", help="Theirs on a forge, as github:ada; may be repeated."
)
@options.everywhere
def token(name: str, roles: tuple[str, ...], logins: tuple[str, ...]) -> None:
    """Make a token for NAME, and the lines of the config that let them in.

    The token goes to standard output and is kept nowhere: hand it over by a safe way. What goes into the config is its digest,
    which lets nobody in.
    """
    import secrets

    from pydantic import ValidationError

    from heliostat.spec.logins import login_of
    from heliostat.spec.roles import AccessPolicy, Person, Role, token_digest

    if len({text.partition(":")[0] for text in logins}) < len(logins):
        raise click.UsageError(f"{', '.join(logins)}: one login of each forge")
    if wrong := [text for text in logins if login_of(text) is None]:
        raise click.UsageError(f"{', '.join(wrong)}: a login is written as github:ada, gitlab:ada or gitea:ada")
    made = secrets.token_hex(32)
    own = dict(text.split(":", 1) for text in logins)
    try:
        person = Person(token_sha256=token_digest(made), roles=tuple(Role(role) for role in roles or ("viewer",)), logins=own)
        AccessPolicy(people={name: person})
    except ValidationError as error:
        raise click.UsageError("; ".join(each["msg"] for each in error.errors(include_url=False))) from None
    except ValueError:
        known = ", ".join(Role)
        raise click.UsageError(f"{', '.join(roles)}: the roles are {known}") from None
    say.told(
        f"heliostat:access:\n  people:\n    {name}:\n      tokenSha256: {person.token_sha256}\n"
        f"      roles: [{', '.join(person.roles)}]\n{_lines_of(own)}\n{name} sets HELIOSTAT_TOKEN to:"
    )
    say.out(made)


def _lines_of(logins: dict[str, str]) -> str:
    said = ", ".join(f'{kind}: "{name}"' for kind, name in logins.items())
    return f"      logins: {{{said}}}\n" if logins else ""
