"""Where a platform's parts answer and how to be let in, in words that mean the same on every machine.

An address stands in states, in stacks' outputs and in other stacks' inputs, so it never holds a secret: it says where whoever
uses it finds one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from heliostat.spec.base import Model

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
"""`http://host:port`, with a path where it is served below one; never with a name and a password in it."""


class TokenFile(Model):
    """A bearer token in a file of the machine where it is used."""

    kind: Literal["file"] = "file"
    path: Annotated[str, Field(pattern=r"^/")]
    """Absolute path."""


Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""


class TokenVariable(Model):
    """A bearer token in an environment variable of the process that uses it."""

    kind: Literal["environment"] = "environment"
    variable: Variable
    """The variable that the token is in."""


class BasicVariables(Model):
    """A user's name and password, for HTTP's basic authentication, in environment variables of the process that uses them."""

    kind: Literal["basic"] = "basic"
    username_variable: Variable
    """The variable that the name is in."""
    password_variable: Variable
    """The variable that the password is in."""


Credential = Annotated[TokenFile | TokenVariable | BasicVariables, Field(discriminator="kind")]
"""Where a secret is found."""


def variables_of(credential: TokenFile | TokenVariable | BasicVariables | None) -> tuple[str, ...]:
    """The environment variables that a credential is in."""
    match credential:
        case TokenVariable():
            return (credential.variable,)
        case BasicVariables():
            return (credential.username_variable, credential.password_variable)
        case _:
            return ()


class HttpAddress(Model):
    """An HTTP API and how to be let in."""

    url: HttpUrl
    """Where it answers."""
    credential: Credential | None = None
    """None where the API asks for none."""

    @model_validator(mode="before")
    @classmethod
    def _as_written_before(cls, given: Any) -> Any:
        """Reads the path of a token's file, which is all that an address of 0.1 says."""
        if not isinstance(given, Mapping):
            return given
        values = dict(given)
        paths = [values.pop(key) for key in ("tokenFile", "token_file") if key in values]
        found = next((path for path in paths if path), None)
        return values | {"credential": {"kind": "file", "path": found}} if isinstance(found, str) else values


class RayAddress(HttpAddress):
    """A Ray cluster's REST APIs: dashboard, jobs, Serve."""


class ControllerAddress(HttpAddress):
    """A controller's API."""
