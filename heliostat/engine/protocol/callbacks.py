"""The functions of a program that the engine calls back: its transforms and its hooks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from heliostat.engine.protocol.plugins import CHANNEL_OPTIONS
from heliostat.pulumi_proto import callback_pb2, callback_pb2_grpc


class CallbackError(Exception):
    """A function of the program could not be called, or raised; the message is its own, with its traceback."""


@dataclass
class Callbacks:
    """The channels to whatever serves such functions; a program has one server for all of its own."""

    _channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    @property
    def used(self) -> bool:
        """Whether there is a function to call, so that the program has to stay."""
        return bool(self._channels)

    def know(self, callback: Any) -> None:
        """Connects to where a function is served. Raises CallbackError where it does not say so."""
        if not callback.target:
            raise CallbackError("target must be specified")
        if callback.target not in self._channels:
            self._channels[callback.target] = grpc.aio.insecure_channel(callback.target, options=CHANNEL_OPTIONS)

    async def call(self, callback: Any, request: Message) -> bytes:
        """What the function of `callback` answers. Raises CallbackError."""
        self.know(callback)
        stub = callback_pb2_grpc.CallbacksStub(self._channels[callback.target])
        message = callback_pb2.CallbackInvokeRequest(token=callback.token, request=request.SerializeToString())
        try:
            answer = await stub.Invoke(message)
        except grpc.aio.AioRpcError as error:
            raise CallbackError(error.details() or error.code().name) from None
        return bytes(answer.response)

    async def close(self) -> None:
        """Ends the channels."""
        await asyncio.gather(*(channel.close(None) for channel in self._channels.values()))
        self._channels.clear()
