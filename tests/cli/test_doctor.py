"""`heliostat doctor`: what facts mean, and what is gathered on a machine that lacks something."""

import json
import os
import socket
from dataclasses import replace

import pytest

from heliostat.cli.operators.doctor import findings, gather, places, tools
from heliostat.cli.operators.doctor.facts import (
    Bucket,
    Facts,
    FixedPort,
    Folder,
    Machine,
    Package,
    Passphrase,
    Stack,
    Tools,
)
from heliostat.cli.operators.doctor.level import Level
from heliostat.cli.operators.health import Health, PartHealth
from heliostat.cli.rollouts.locate import sections_of
from heliostat.engine.config.project import load
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.platforms.stores import DirectoryStore, GcsStore, S3Store

GIB = 1 << 30
MACHINE = Machine(
    python=(3, 11, 7),
    system="Linux",
    memory_total=16 * GIB,
    memory_available=12 * GIB,
    shared_memory_free=8 * GIB,
    disk_free=100 * GIB,
    disk_folder="/data",
    now=1000.0,
    newest_file=900.0,
)
STACK = Stack("dev", exists=True, config_file="Pulumi.dev.yaml", platform=LocalPlatform(), replicas=2)
GOOD = Facts(
    machine=MACHINE,
    stack=STACK,
    packages=(Package("ray", "==2.60.*", "2.60.0", fits=True),),
    ports=(FixedPort("platform.publicPort", 8080),),
    folders=(Folder("state", "/state"),),
    passphrase=Passphrase(has_salt=True, named_by="PULUMI_CONFIG_PASSPHRASE"),
    tools=Tools(haproxy="2.8", git="/bin/git"),
)


def of(facts, check):
    (found,) = [one for one in findings.findings(facts) if one.check == check]
    return found


def on(facts=GOOD, **changed):
    return replace(facts, **changed)


def with_machine(**changed):
    return on(machine=replace(MACHINE, **changed))


def with_stack(**changed):
    return on(stack=replace(STACK, **changed))


def test_a_machine_that_has_all_gets_no_warning_and_nothing_to_fix():
    found = findings.findings(GOOD)
    assert {one.level for one in found} <= {Level.OK, Level.INFO}
    assert not any(one.fix for one in found)
    assert not findings.stops_up(found)


BIG = LocalPlatform.model_validate({"ray": {"workers": {"count": 16}, "objectStoreMib": 2048}})
HUGE = LocalPlatform.model_validate({"ray": {"objectStoreMib": 32768}})


@pytest.mark.parametrize(
    ("facts", "check", "level", "told"),
    [
        (with_machine(python=(3, 10, 2)), "python", Level.ERROR, "3.10.2"),
        (with_machine(system="Darwin"), "system", Level.ERROR, "Darwin"),
        (on(packages=(Package("ray", "==2.60.*", "2.50.0"), Package("mlflow", ">=3"))), "packages", Level.ERROR, "2.50.0"),
        (on(tools=Tools(git="/bin/git", haproxy_problem="HAProxy is missing")), "haproxy", Level.ERROR, "is missing"),
        (on(tools=Tools(haproxy="2.8")), "git", Level.WARNING, "not on PATH"),
        (on(tools=Tools("2.8", git="g", engine="pulumi")), "engine", Level.ERROR, "HELIOSTAT_ENGINE chooses it"),
        (on(tools=Tools("2.8", git="g", pulumi="/bin/pulumi")), "engine", Level.INFO, "/bin/pulumi"),
        (with_stack(name=""), "stack", Level.WARNING, "none is selected"),
        (with_stack(exists=False), "stack", Level.WARNING, "dev is not made yet"),
        (with_stack(mistakes="1 mistake"), "config", Level.ERROR, "1 mistake"),
        (on(passphrase=Passphrase(True, "P", "incorrect")), "passphrase", Level.ERROR, "incorrect"),
        (on(passphrase=Passphrase(True)), "passphrase", Level.ERROR, "none is set"),
        (on(passphrase=Passphrase(True, can_ask=True)), "passphrase", Level.INFO, "asks"),
        (on(folders=(Folder("state", "/s", "may not write"),)), "state", Level.ERROR, "/s: may not write"),
        (with_machine(disk_free=GIB // 8), "disk", Level.ERROR, "0.1 GiB free at /data"),
        (with_machine(disk_free=GIB), "disk", Level.WARNING, "1.0 GiB"),
        (with_machine(memory_total=GIB), "memory", Level.ERROR, "an idle stack takes about"),
        (with_machine(memory_available=GIB), "memory", Level.WARNING, "2 object stores of 200 MiB"),
        (with_stack(platform=BIG), "memory", Level.WARNING, "17 object stores of 2048 MiB"),
        (with_stack(platform=HUGE), "memory", Level.ERROR, "which Ray refuses"),
        (with_machine(shared_memory_free=64 << 20), "shared memory", Level.WARNING, "uses the disk instead"),
        (
            on(
                machine=replace(MACHINE, memory_total=128 * GIB, memory_available=128 * GIB),
                stack=replace(STACK, platform=HUGE),
            ),
            "shared memory",
            Level.ERROR,
            "none of over 10 GB on disk",
        ),
        (on(ports=(FixedPort("platform.publicPort", 8080, "nginx (process 7)"),)), "port 8080", Level.ERROR, "nginx"),
        (on(bucket=Bucket("s3://b", "no AWS credentials")), "object store", Level.ERROR, "no AWS credentials"),
        (on(bucket=Bucket("gs://b", "no credentials")), "object store", Level.ERROR, "gs://b: no credentials"),
        (on(bucket=Bucket("s3://b", clock_skew=-4000.0)), "clock", Level.ERROR, "4,000 s behind"),
        (with_machine(now=100.0), "clock", Level.WARNING, "800 s behind"),
        (on(environment={"https_proxy": "http://p"}), "proxy", Level.WARNING, "other programs"),
    ],
)
def test_what_is_lacking_is_told_with_its_fix(facts, check, level, told):
    found = of(facts, check)
    assert found.level is level
    assert told in found.detail
    assert found.fix or level is Level.INFO
    assert findings.stops_up(findings.findings(facts)) is (level is Level.ERROR)


def test_what_the_stack_itself_holds_is_not_held_against_it():
    ours = FixedPort("platform.publicPort", 8080, "haproxy (process 7)", ours=True)
    running = on(
        ports=(ours,),
        stack=replace(STACK, runs=True),
        machine=replace(MACHINE, memory_available=GIB // 4, shared_memory_free=0),
    )
    assert {of(running, check).level for check in ("port 8080", "memory", "shared memory")} == {Level.OK}


def test_a_stack_on_another_ones_platform_asks_for_no_memory():
    shared = with_stack(platform=None, platform_stack="organization/demo/base")
    assert not any(one.check in ("memory", "shared memory") for one in findings.findings(shared))
    assert "on the platform of organization/demo/base" in of(shared, "stack").detail


def test_a_bucket_that_is_not_there_yet_and_a_proxy_that_leaves_out_loopback_are_right():
    assert "which `up` makes" in of(on(bucket=Bucket("s3://b", missing=True)), "object store").detail
    names = "127.0.0.1,localhost,::1"
    assert of(on(environment={"http_proxy": "p", "no_proxy": names, "NO_PROXY": names}), "proxy").level is Level.OK
    assert not any(one.check == "proxy" for one in findings.findings(GOOD))


def test_what_a_machine_does_not_tell_is_left_out_and_not_guessed():
    silent = with_machine(memory_total=None, memory_available=None, shared_memory_free=None, disk_free=None)
    assert not any(one.check in ("memory", "shared memory", "disk") for one in findings.findings(silent))


@pytest.fixture
def checked(stack):
    stack.monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")

    def run(code, *arguments):
        ran = stack("doctor", "--json", *arguments)
        assert ran.code == code, ran.out + ran.err
        said = json.loads(ran.out)
        return {one["check"]: one for one in said["checks"]}

    run.stack = stack
    return run


def platform(stack, text):
    stack.config.write_text(stack.config.read_text() + f"config:\n  heliostat:platform: {text}\n")


def test_it_works_before_any_stack_and_outside_a_project(desk):
    desk.monkeypatch.setenv("HELIOSTAT_ENGINE", "embedded")
    ran = desk("doctor")
    assert ran.code == 0, ran.out
    assert "none is selected" in ran.out
    (desk.folder / "Pulumi.yaml").unlink()
    ran = desk("doctor")
    assert ran.code == 0, ran.out
    assert "1 warning" in ran.err


def test_this_machine_with_a_new_stack_has_what_it_needs(checked):
    platform(checked.stack, "{kind: local}")
    found = checked(0)
    assert {"python", "packages", "haproxy", "passphrase", "state", "memory", "disk", "clock"} <= found.keys()
    assert found["passphrase"]["detail"] == "PULUMI_CONFIG_PASSPHRASE is the stack's"


def test_a_port_that_is_taken_is_told_with_who_listens_there(checked):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        platform(checked.stack, f"{{kind: local, publicPort: {port}}}")
        found = checked(1)[f"port {port}"]
    assert found["level"] == "error"
    assert f"process {os.getpid()}" in found["detail"]
    assert checked(0)[f"port {port}"]["detail"] == "platform.publicPort: free"


def test_a_wrong_passphrase_is_told_and_neither_is_shown(checked):
    checked.stack.monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "very-wrong")
    ran = checked.stack("doctor")
    assert ran.code == 1
    assert "incorrect passphrase" in ran.out
    assert "very-wrong" not in ran.out + ran.err


def test_mistakes_in_the_config_are_told_all_at_once(checked):
    platform(checked.stack, "{kind: local, publicPort: 80, tracking: {port: 70000}}")
    found = checked(1)["config"]
    assert "publicPort" in found["detail"]
    assert "tracking.port" in found["detail"]


EXISTING = "{kind: ray, ray: {url: 'http://127.0.0.1:1'}, tracking: {uri: 'http://127.0.0.1:1'}, "


def test_what_a_config_says_is_there_is_asked(checked, tmp_path):
    platform(checked.stack, f"{EXISTING}store: {{kind: directory, path: {tmp_path}}}, controller: {{apiPort: 9123}}}}")
    found = checked(1)
    assert "memory" not in found, "the cluster is elsewhere"
    for part in ("ray", "mlflow"):
        assert found[part]["level"] == "error"
        assert found[part]["detail"].startswith("http://127.0.0.1:1: ")
        assert "correct platform in" in found[part]["fix"]
    assert found["port 9123"]["detail"] == "platform.controller.apiPort: free"


def test_what_is_wrong_with_the_way_into_a_kubernetes_cluster_is_told_of_each_part(checked, tmp_path):
    proxy = f"proxy: {{kind: kubernetes, kubeconfig: {tmp_path}/none}}"
    parts = f"ray: {{url: 'http://head.ml.svc:8265', {proxy}}}, tracking: {{uri: 'http://mlflow.ml.svc:5000', {proxy}}}"
    platform(checked.stack, f"{{kind: ray, {parts}, store: {{kind: directory, path: {tmp_path}}}}}")
    found = checked(1)
    for part in ("ray", "mlflow"):
        assert found[part]["detail"].endswith(f"there is no kubeconfig {tmp_path}/none: write it, or name another")


def test_what_is_there_and_answers_is_shown_with_its_version():
    there = PartHealth("ray", "http://10.0.0.2:8265", Health.OK, "2.60.0", "2 nodes, 6 CPUs")
    found = of(on(existing=(there,)), "ray")
    assert (found.level, found.detail) == (Level.OK, "http://10.0.0.2:8265: 2.60.0, 2 nodes, 6 CPUs")


def test_what_is_there_and_cannot_be_worked_with_is_told_with_what_to_do():
    there = PartHealth("mlflow", "http://10.0.0.3", Health.UNFIT, "2.22.0", "MLflow at http://10.0.0.3 is 2.22.0, and 3.0 is")
    found = of(on(existing=(there,)), "mlflow")
    assert (found.level, found.detail) == (Level.ERROR, there.detail)
    assert found.fix.startswith("do so, or name another in ")


@pytest.mark.parametrize("key", ["heliostat:platformStack", "platformStack"])
def test_the_config_is_read_as_the_program_reads_it_with_the_project_s_name_or_bare(tmp_path, key):
    (tmp_path / "Pulumi.yaml").write_text("name: heliostat\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(f"config:\n  {key}: organization/platform/prod\n  other:key: 1\n")
    assert sections_of(load(tmp_path / "Pulumi.yaml"), "dev") == {"platformStack": "organization/platform/prod"}


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert places.folder("state", file / "below").problem == f"{file} is no folder"
    assert places.folder("state", tmp_path / "a" / "b") == Folder("state", str(tmp_path / "a" / "b"))


def test_a_store_in_a_folder_of_its_own_is_looked_at(checked, tmp_path):
    (tmp_path / "file").touch()
    platform(checked.stack, f"{{kind: local, store: {{kind: directory, path: {tmp_path}/file/objects}}}}")
    found = checked(1)["object store"]
    assert found["detail"].endswith(f"{tmp_path}/file is no folder")


def test_a_bucket_is_asked_with_the_credentials_that_are_there(s3_address):
    bucket = s3_address.uri.split("/")[2]
    found = places.bucket(S3Store(bucket=bucket, endpoint=s3_address.endpoint))
    assert (found.problem, found.missing) == ("", False)
    assert found.clock_skew is None or abs(found.clock_skew) < 60
    assert places.bucket(S3Store(bucket="never-made", endpoint=s3_address.endpoint)).missing


def test_a_bucket_of_googles_is_asked_too(gs_address):
    bucket = gs_address.uri.split("/")[2]
    found = places.bucket(GcsStore(bucket=bucket, endpoint=gs_address.endpoint))
    assert (found.problem, found.missing) == ("", False)
    assert abs(found.clock_skew) < 60
    assert places.bucket(GcsStore(bucket="never-made", endpoint=gs_address.endpoint)).missing


def test_a_bucket_of_googles_without_credentials_is_told_with_where_they_are_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert "no Google Cloud credentials" in places.bucket(GcsStore(bucket="some-bucket")).problem


def test_each_kind_of_bucket_has_its_own_variables_in_the_fix():
    fixes = [of(on(bucket=Bucket(f"{scheme}://b", "no")), "object store").fix for scheme in ("s3", "gs")]
    assert ["AWS_PROFILE" in fix for fix in fixes] == [True, False]
    assert ["GOOGLE_APPLICATION_CREDENTIALS" in fix for fix in fixes] == [False, True]


def test_a_store_in_a_folder_is_no_bucket():
    assert places.bucket(DirectoryStore()) is None


def test_a_bucket_without_credentials_or_without_a_server_is_told(s3_endpoint, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert "no AWS credentials" in places.bucket(S3Store(bucket="some-bucket", endpoint=s3_endpoint)).problem


def test_a_package_that_is_missing_or_too_old_is_found_by_the_projects_own_metadata(monkeypatch):
    there = {one.name: one for one in tools.packages()}
    assert there["ray"].fits
    assert there["click"].installed
    monkeypatch.setattr(tools.metadata, "requires", lambda _: ["click<1", "no-such-package>=2", 'pytest; extra == "dev"'])
    assert [(one.name, bool(one.installed), one.fits) for one in tools.packages()] == [
        ("click", True, False),
        ("no-such-package", False, False),
    ]


def test_where_packages_are_missing_the_finding_about_them_is_still_told(desk):
    def missing(_):
        raise ImportError("No module named 'psutil'")

    desk.monkeypatch.setattr(gather, "facts", missing)
    desk.monkeypatch.setattr(tools.metadata, "requires", lambda _: ["no-such-package"])
    ran = desk("doctor")
    assert ran.code == 1
    assert "no-such-package" in ran.out
    assert "1 problem will stop `heliostat up`" in ran.err


def test_the_shells_own_environment_is_looked_at_and_not_what_the_command_made_of_it(monkeypatch):
    monkeypatch.setenv("set-after-the-start", "1")
    assert "set-after-the-start" not in gather.shell_environment()
    assert "PATH" in gather.shell_environment()
