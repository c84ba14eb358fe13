"""Brokers of tasks: a file of this machine, Redis, or SQS with the object store, behind one protocol."""

from __future__ import annotations

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.task_queue import RedisBroker, SqliteBroker, SqsBroker, TaskQueue
from heliostat.systems.brokers.base import Retention, TaskBroker
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import directory_of, open_store
from heliostat.systems.storage.base import OWN


def open_broker(queue: TaskQueue, application: str, store: StoreAddress) -> TaskBroker:
    """The broker of an application's tasks. Opening reaches for no server.

    Raises:
        PermanentError: its client is not installed, or it is a file where none can be.
    """
    keep = retention(queue)
    match queue.broker:
        case SqliteBroker():
            from heliostat.systems.brokers.sqlite import Sqlite

            if not store.uri.startswith("file:///"):
                raise PermanentError(
                    f"a broker of kind sqlite lies beside a store on this machine, and this one is {store.uri}"
                )
            return Sqlite(directory_of(store) / OWN / "tasks" / f"{application}.sqlite", keep)
        case RedisBroker():
            try:
                from heliostat.systems.brokers.redis import Redis
            except ModuleNotFoundError as error:
                raise PermanentError(
                    f"a broker of kind redis needs the package {error.name}: name heliostat[queue] in the requirements"
                ) from None
            return Redis(queue.broker, application, keep)
        case SqsBroker():
            from heliostat.systems.brokers.sqs import Sqs

            return Sqs(queue.broker, application, open_store(store), keep)


def retention(queue: TaskQueue) -> Retention:
    """How long what ended is kept."""
    return Retention(results=queue.result_seconds, dead_letters=queue.dead_letter_seconds)
