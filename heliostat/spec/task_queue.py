"""Tasks that an application takes now and answers later, through a broker."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from heliostat.spec.addresses import Credential, HttpUrl, TokenFile, TokenVariable
from heliostat.spec.base import Model, is_empty, is_none

WORKERS = "tasks"
"""Serve's name of the deployment of workers, beside the one that clients reach."""

TASKS = "/-/tasks"
"""Where replicas tell of their application's tasks, and take what operators say about them."""

Origin = Annotated[str, Field(pattern=r"^https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?$")]
"""Scheme, host in lower case, and a port if not the scheme's own."""


class SqliteBroker(Model):
    """Tasks in a file beside the object store: for a platform on one machine, with no server."""

    kind: Literal["sqlite"] = "sqlite"


class RedisBroker(Model):
    """Tasks in a Redis that is there. It is to keep what it has: `appendonly yes` and `maxmemory-policy noeviction`."""

    kind: Literal["redis"] = "redis"
    url: Annotated[str, Field(pattern=r"^rediss?://[^\s/?#@]+(/[0-9]{1,3})?$")]
    """`redis://host:port/database`, or `rediss://` with TLS; never with a name and a password in it."""
    credential: Credential | None = None
    """Where its password is, or a user's name and password; by default it asks for none."""


class SqsBroker(Model):
    """Tasks in queues of SQS, one a version, and what is known of each task in the object store."""

    kind: Literal["sqs"] = "sqs"
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    """Of the queues, as `eu-central-1`."""
    endpoint: HttpUrl | None = None
    """URL of the server, where that is another than AWS's."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,20}$")] = "heliostat"
    """What the queues' names begin with. Replicas make the queues and remove them: they may do so below this prefix."""


Broker = Annotated[SqliteBroker | RedisBroker | SqsBroker, Field(discriminator="kind")]


class TaskScaling(Model):
    """How many replicas of workers there are between the fewest and the most, by what is in the queue."""

    max_replicas: Annotated[int, Field(ge=1, le=256)]
    """The most; `replicas` are the fewest."""
    tasks_per_worker: Annotated[float, Field(gt=0)] = 10.0
    """Tasks that may wait and run for each process; more replicas come where there are more."""
    max_wait_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long a task may wait; one replica more comes at a time while the oldest waits longer. SQS does not say how long."""
    scale_up_seconds: Annotated[float, Field(ge=0, le=3600)] = 15.0
    """How long more have to be needed before they come."""
    scale_down_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """How long fewer have to be enough before some go."""


class TaskWorkers(Model):
    """What works on tasks, beside the replicas that answer requests."""

    replicas: Annotated[int, Field(ge=1, le=256)] = 1
    """Replicas of Serve that look after workers; with `scaling` the fewest."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes of each of them, which load the model and work on one task at a time."""
    cpus_per_replica: Annotated[float, Field(ge=0)] = 1.0
    """What each replica with its processes holds of its node."""
    gpus_per_replica: Annotated[float, Field(ge=0)] = 0.0
    """Accelerators that each of them holds."""
    scaling: TaskScaling | None = Field(default=None, exclude_if=is_none)
    """That there are more of them while the queue is long; by default there are always as many."""

    @property
    def most(self) -> int:
        """How many replicas there may be."""
        return self.replicas if self.scaling is None else self.scaling.max_replicas

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.most < self.replicas:
            raise ValueError(
                f"scaling.maxReplicas is {self.most}, and replicas, the fewest, is {self.replicas}: give maxReplicas "
                f"{self.replicas} or more"
            )
        return self


class TaskWebhooks(Model):
    """Where clients may have the end of their tasks told to."""

    origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    """The only ones that are called, as `https://hooks.example.com`: a task that names another is refused."""
    secret: Annotated[TokenFile | TokenVariable, Field(discriminator="kind")]
    """Where the secret is that calls are signed with."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 8
    """How often one is called until it answers with 2xx: after 5 s, and each time after twice as long."""


class TaskQueue(Model):
    """Takes tasks, keeps them in a broker until they are answered, and answers them with the application's own model."""

    broker: Broker = Field(default_factory=SqliteBroker)
    """What keeps the tasks."""
    workers: TaskWorkers = Field(default_factory=TaskWorkers)
    """What works on them."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 4
    """How often a task is tried before it goes to the dead letters."""
    retry_seconds: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """How long after a failure it is tried again; each time twice as long, 60 s at most, or this where it is more."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 300.0
    """How long one attempt may take; then its process is ended, and it has failed."""
    deadline_seconds: Annotated[float, Field(gt=0, le=1_209_600)] = 86_400.0
    """How long after it was taken a task is still worth an answer; a client may ask for less."""
    lease_seconds: Annotated[float, Field(ge=1, le=25)] = 15.0
    """How long a task stays with a worker of which nothing is heard; the others have it after that."""
    drain_seconds: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """How long a worker that is to end goes on with the task that it has; then another one begins it anew."""
    result_seconds: Annotated[int, Field(ge=60)] = 86_400
    """How long an answer is kept."""
    dead_letter_seconds: Annotated[int, Field(ge=60)] = 1_209_600
    """How long a task that failed is kept, with its payload."""
    max_open: Annotated[int, Field(ge=1)] = 100_000
    """Tasks that may wait or be worked on; more are refused (503)."""
    webhooks: TaskWebhooks | None = None
    """By default no webhook is taken."""


class WorkerCount(Model):
    """The replicas of workers that a version has."""

    version: str
    """Its label."""
    replicas: int
    """Asked for."""
    running: int
    max_replicas: int
    """The most there may be; as many as `replicas` where they do not scale."""
    reason: str = ""
    """What was decided last about how many there are, and why; empty where nothing was."""


class QueueDepth(Model):
    """What is in an application's queue."""

    waiting: int
    running: int
    dead: int
    """Dead letters."""
    oldest_seconds: float | None = None
    """Age of the task that waits longest; None where none does, or the broker does not say."""
    versions: tuple[str, ...] = ()
    """Labels of versions that tasks were taken by, and may be left of."""
    ended: dict[str, int] = {}
    """How many tasks ever ended, by state; empty where the broker does not count."""
    waiting_by_version: dict[str, int] = Field(default={}, exclude_if=is_empty)
    """What waits, by the label of the version that took it. Some brokers leave out what was tried."""
    workers: tuple[WorkerCount, ...] = Field(default=(), exclude_if=is_empty)
    """What works on them, by version; replicas leave it to the controller to say."""


class WebhookView(Model):
    """A task's webhook."""

    url: str
    note: str
    """How its call ended, or how the last try did."""


class TaskView(Model):
    """A task as clients and operators see it. Times are Unix times in seconds."""

    id: str
    status: str
    """`waiting`, `running`, `succeeded`, `failed` or `cancelled`."""
    attempts: int
    version: str
    """The label of the version that answered it, or that it is for."""
    submitted_at: float
    deadline: float
    ended_at: float | None = None
    error: str | None = None
    """Of the last attempt that failed."""
    webhook: WebhookView | None = None
    payload: str | None = None
    """The request's body in base64, where it was asked for."""
    result: str | None = None
    """The answer in base64, where it was asked for."""
