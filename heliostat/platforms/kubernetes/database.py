"""MLflow and the PostgreSQL below it, as resources."""

from __future__ import annotations

import pulumi

from heliostat.platforms.kubernetes import identity, mlflow, postgres
from heliostat.platforms.kubernetes.site import MLFLOW, POSTGRES, Site, make
from heliostat.platforms.underlay import Underlay
from heliostat.resources import Token
from heliostat.spec.platforms.cluster import ClusterDatabase, ClusterServices, Database, ExistingDatabase


def make_tracking(
    site: Site,
    spec: ClusterServices,
    database: Database | None,
    under: Underlay,
    key: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> pulumi.Resource:
    """MLflow, with what it stores runs in.

    Args:
        site: Where.
        spec: How large.
        database: As the config names it; None where the cloud's platform made one.
        under: What has the bucket, and the database of a cloud.
        key: A secret by which another address of the database is told from this one.
        opts: Of every resource.
    """
    made: list[pulumi.Resource] = []
    if isinstance(database, ExistingDatabase):
        place, revision = (database.secret, "uri"), pulumi.Output.from_input("existing")
    else:
        uri, made = _database(site, database, under, opts)
        place = (postgres.SECRET, postgres.URI_KEY)
        both = pulumi.Output.all(key, uri)
        revision = pulumi.Output.unsecret(both.apply(lambda found: mlflow.revision_of(*found)))
    artifacts = pulumi.Output.from_input(under.store).apply(lambda store: f"{store['uri'].rstrip('/')}/{mlflow.ARTIFACTS}")
    allowed = mlflow.hosts(site, spec.mlflow, under.api_server_host)
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=made))
    *_, server = (make(each, after) for each in mlflow.manifests(site, spec.mlflow, place, artifacts, allowed, revision))
    return server


def _database(
    site: Site, database: ClusterDatabase | None, under: Underlay, opts: pulumi.ResourceOptions
) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
    """The URI of a database that somebody makes, and what has to be there of it before MLflow starts."""
    values: dict[str, pulumi.Input[str]] = {}
    if database is None:
        if under.database_uri is None:
            raise ValueError("a platform without a database of its own names one in `database`")
        uri = pulumi.Output.secret(under.database_uri)
    else:
        password = Token("mlflow-database", opts=pulumi.ResourceOptions(parent=opts.parent)).value
        values[postgres.PASSWORD_KEY] = password
        uri = password.apply(lambda text: postgres.uri(site, text))
    values[postgres.URI_KEY] = uri
    made: list[pulumi.Resource] = [make(identity.secret(site, postgres.SECRET, MLFLOW, values), opts)]
    if database is not None:
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(made)))
        made += [make(each, after) for each in postgres.manifests(site, database)]
    return uri, made


def parts(database: Database | None) -> tuple[str, ...]:
    """What runs of it in the cluster."""
    return (MLFLOW, POSTGRES) if isinstance(database, ClusterDatabase) else (MLFLOW,)
