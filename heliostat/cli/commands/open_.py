"""`heliostat open`: MLflow's, Ray's and an application's pages, and the newest rollout's report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.addresses import CloudCluster, Credential, KubernetesProxy, RayAddress

PAGES = ("mlflow", "ray", "report", "docs", "app")
_SECONDS = 300
seconds_option = click.option(
    "--seconds", type=click.IntRange(min=1), default=_SECONDS, show_default=True, help="How long Ray's address holds."
)
print_option = click.option("--print", "only_print", is_flag=True, help="Print the address and open no browser.")


@click.command("open")
@click.argument("page", type=click.Choice(PAGES))
@options.application
@print_option
@click.option("-o", "--output", "file", metavar="FILE", help="Of the report; by default below .heliostat/reports/STACK.")
@seconds_option
@options.stack
@options.as_json
@options.everywhere
def open_(
    page: str, application: str | None, only_print: bool, file: str | None, seconds: int, stack: str | None, as_json: bool
) -> None:
    """Print the address of a page, and open it where there is a browser.

    mlflow: runs and models. ray: Ray's dashboard, logged in once. report: the newest rollout's, which is written anew. docs:
    how to call an application. app: its own address. APPLICATION is for the last three, where there is more than one.
    """
    if page == "ray":
        open_ray(stack, seconds, only_print=only_print, as_json=as_json)
    elif page == "report":
        _open(page, _report(stack, application, file), only_print, as_json)
    else:
        _open(page, _address(page, stack, application), only_print, as_json)


def _address(page: str, stack: str | None, application: str | None) -> str:
    """The address of a page that is there all the time, by the stack's state alone."""
    from heliostat.cli.operators.deployed import with_platform
    from heliostat.cli.rollouts.access import chosen
    from heliostat.systems.errors import PermanentError

    found = with_platform(stack)
    if page == "mlflow":
        if not found.tracking_uri:
            raise PermanentError(f"the platform of the stack {found.owner!r} exports no MLflow")
        if found.tracking_access and found.tracking_access.proxy:
            raise PermanentError(_forwarded("MLflow", found.tracking_uri, found.tracking_access.proxy))
        return found.tracking_uri
    url = found.applications[chosen(application, tuple(found.applications))]
    return f"{url}/docs" if page == "docs" else url


def _report(stack: str | None, application: str | None, file: str | None) -> str:
    """The address of the newest rollout's report, just written."""
    import time

    from heliostat.cli.rollouts import records
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.cli.rollouts.files import write
    from heliostat.cli.rollouts.report import page

    record = with_controller(stack, lambda client: records.record_of(client, application, None, stack))
    entries, notes = records.entries_of(stack, record)
    for note in notes:
        say.told(f"warning: {note}")
    path = Path(file) if file else _reports(stack) / f"rollout-{record.application}-{record.rollout.number}.html"
    write(page(record, entries, time.time()), str(path))
    return path.absolute().as_uri()


def _reports(stack: str | None) -> Path:
    """The folder of a stack's reports: those of two stacks may have the same names."""
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.cli.session import Place
    from heliostat.systems.errors import explained

    name = stacks_here().name(stack).rpartition("/")[2]
    folder = Place.here().require_project().root / ".heliostat" / "reports" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, f"make the folder {folder}") from error
    return folder


def _open(page: str, address: str, only_print: bool, as_json: bool) -> None:
    from heliostat.cli.operators.pages import browse

    opened = not only_print and browse(address)
    if as_json:
        say.out(json.dumps({"page": page, "address": address, "opened": opened}, indent=2))
    else:
        say.out(address)


def open_ray(stack: str | None, seconds: int, *, only_print: bool, as_json: bool) -> None:
    """Ray's dashboard, logged in: the token goes to the browser as a cookie, and is neither printed nor in an address."""
    from heliostat.cli.rollouts.locate import ray_of
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.loopback import is_loopback

    address = ray_of(stack)
    if as_json:
        # Whoever reads JSON opens no login page: where the token is says all that a program needs.
        where = address.credential.model_dump(mode="json", by_alias=True, exclude_none=True) if address.credential else None
        say.out(json.dumps({"page": "ray", "address": address.url, "credential": where, "opened": False}, indent=2))
    elif address.proxy is not None:
        raise PermanentError(_forwarded("Ray's dashboard", address.url, address.proxy))
    elif address.credential is None:
        _open("ray", address.url, only_print, as_json=False)
    elif not is_loopback(address.url):
        # A cookie is a host's: a page of this machine cannot set one for another.
        say.out(f"Paste the token where the page asks for it. {_where(address.credential)}")
        _open("ray", address.url, only_print, as_json=False)
    else:
        _log_in(address, address.credential, seconds, only_print)


def _forwarded(page: str, url: str, proxy: KubernetesProxy) -> str:
    """Say how a browser gets to a page that clients reach through an API server, which lets none in."""
    from heliostat.spec.addresses import service_of

    service = service_of(url)
    options = [f"--{name}={value}" for name, value in (("kubeconfig", proxy.kubeconfig), ("context", proxy.context)) if value]
    log_in = _log_in_to(proxy.cluster) if proxy.cluster else ""
    ends = (f"--namespace={service.namespace}", "port-forward", f"service/{service.name}", str(service.port))
    command = " ".join(["kubectl", *options, *ends])
    return (
        f"{page} is {url} inside of its cluster, where no browser gets to: run {log_in}`{command}` "
        f"and open {service.scheme}://127.0.0.1:{service.port}"
    )


def _log_in_to(cluster: CloudCluster) -> str:
    """Say how kubectl gets to know a cluster of a cloud's."""
    if cluster.kind == "eks":
        return f"`aws eks update-kubeconfig --region {cluster.region} --name {cluster.name}`, then "
    options = f"--project {cluster.project} --location {cluster.location}"
    return f"`gcloud container clusters get-credentials {cluster.name} {options}`, then "


def _where(credential: Credential) -> str:
    """Say where the token is."""
    match credential.kind:
        case "file":
            return f"It is in {credential.path}"
        case "environment":
            return f"It is in the environment variable {credential.variable}"
        case "basic":
            return f"The name and the password are in {credential.username_variable} and {credential.password_variable}"
        case "kubernetes":
            return f"It is in the key {credential.key} of the secret {credential.name} in the namespace {credential.namespace}"


def _log_in(address: RayAddress, credential: Credential, seconds: int, only_print: bool) -> None:
    from heliostat.cli.login import Login
    from heliostat.cli.operators.pages import browse, redirecting
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.http import read_token

    with Login(address.url, read_token(address)) as login, redirecting(login.url) as page:
        say.out(f"Open  {login.url}\nwithin {seconds} s: it leads to Ray's dashboard, and logs this browser in, once.")
        say.out(f"Or open {address.url} and paste the token. {_where(credential)}")
        if not only_print:
            browse(page)
        if not login.visited(seconds):
            raise PermanentError(f"nobody opened the address within {seconds} s; it does not hold any more")
    say.out("Logged in.")
