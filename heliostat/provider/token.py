"""Random secrets, which live in the stack's state alone."""

from __future__ import annotations

import secrets
from typing import ClassVar

from heliostat.provider.resource import Context, Created, Handler
from heliostat.spec.platform_resources import TokenInputs, TokenOutputs


class TokenHandler(Handler[TokenInputs, TokenOutputs]):
    """Makes them once; another generation is another one."""

    token = "heliostat:index:Token"  # noqa: S105 - a type, no secret
    inputs = TokenInputs
    outputs = TokenOutputs
    replace_on = frozenset({"generation"})
    secret_outputs: ClassVar[frozenset[str]] = frozenset({"value"})

    async def create(self, context: Context, inputs: TokenInputs) -> Created[TokenOutputs]:
        """Make one. One whose making was cut off is in no state, and nobody has it: another is as good."""
        made = TokenOutputs(**inputs.model_dump(), value=secrets.token_hex(32))
        return Created(secrets.token_hex(8), made)

    async def read(self, context: Context, identifier: str, outputs: TokenOutputs) -> TokenOutputs:
        """It is where the state is, and nowhere else."""
        return outputs

    async def update(self, context: Context, identifier: str, old: TokenOutputs, new: TokenInputs) -> TokenOutputs:
        """Nothing of it changes without another one being made."""
        return old

    async def delete(self, context: Context, identifier: str, outputs: TokenOutputs) -> None:
        """It goes with the state."""
