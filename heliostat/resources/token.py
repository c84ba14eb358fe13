"""A secret that nobody has to think of."""

from __future__ import annotations

import pulumi

from heliostat.resources.base import Resource


class Token(Resource):
    """Random text, made once and kept in the stack's state, where it is encrypted like every secret of the stack.

    Args:
        name: The resource's name.
        generation: Another number makes another token.
        opts: Pulumi's resource options.
    """

    token = "heliostat:index:Token"  # noqa: S105 - a type, no secret
    outputs = ("value",)

    def __init__(self, name: str, generation: int = 1, opts: pulumi.ResourceOptions | None = None) -> None:
        hidden = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        super().__init__(name, pulumi.ResourceOptions.merge(opts, hidden), generation=generation)

    @property
    def value(self) -> pulumi.Output[str]:
        """64 hexadecimal digits, a secret."""
        return pulumi.Output.secret(self.output("value"))
