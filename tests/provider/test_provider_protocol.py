import asyncio
import json
import sys

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2
from plugin_process import PLUGIN, EngineLog, Plugin, plain, plugin_process, struct, urn_of
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2_grpc, status_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from heliostat.provider import registry
from heliostat.provider.properties import SECRET, SIGNATURE, UNKNOWN
from heliostat.provider.reports import Reporter
from heliostat.provider.servicer import Provider
from heliostat.systems import proc


def secret(value):
    return {SIGNATURE: SECRET, "value": value}


@pytest.fixture
async def plugin(monkeypatch, tmp_path):
    """The servicer in this process, with one more resource type."""
    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setitem(registry.HANDLERS, "heliostat:index:Fake", "fake_handlers:FakeHandler")
    log, engine, server = EngineLog(), grpc.aio.server(), grpc.aio.server()
    engine_pb2_grpc.add_EngineServicer_to_server(log, engine)
    reporter = Reporter()
    reporter.attach(f"127.0.0.1:{engine.add_insecure_port('127.0.0.1:0')}")
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(reporter), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await engine.start()
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Plugin(provider_pb2_grpc.ResourceProviderStub(channel), log)
    await server.stop(None)
    await engine.stop(None)


async def create(plugin, preview=False, seconds=0, **inputs):
    checked = await plugin.stub.Check(pb.CheckRequest(urn=urn_of("Fake"), news=struct(inputs)))
    assert not checked.failures
    request = pb.CreateRequest(urn=urn_of("Fake"), properties=checked.inputs, preview=preview, timeout=seconds)
    return await plugin.stub.Create(request)


async def diff(plugin, old, new, outputs=None, ignore=()):
    olds = struct(outputs or {**old, "url": "u"})
    request = pb.DiffRequest(
        urn=urn_of("Fake"), id="i", old_inputs=struct(old), news=struct(new), olds=olds, ignoreChanges=ignore
    )
    return await plugin.stub.Diff(request)


def told(plugin):
    return [(message.severity, message.message, message.ephemeral) for message in plugin.log.messages]


async def test_configuration_of_the_stack_does_not_reach_the_state(plugin):
    news = struct({"version": "1.0.0", "platform": '{"kind": "local"}', "workloads": secret("{}")})
    checked = await plugin.stub.CheckConfig(pb.CheckRequest(urn="urn:pulumi:d::p::pulumi:providers:heliostat::d", news=news))
    assert plain(checked.inputs) == {"version": "1.0.0"}
    configured = await plugin.stub.Configure(pb.ConfigureRequest())
    assert configured.acceptSecrets
    assert configured.supportsPreview
    assert not configured.acceptResources


async def test_a_type_that_does_not_exist_is_said_with_those_that_do(plugin):
    with pytest.raises(grpc.aio.AioRpcError, match=r"no resource type heliostat:index:Fak; it has .*RayCluster"):
        await plugin.check("Fak", {})


async def test_a_create_gives_outputs_and_progress_once_each(plugin):
    made = await create(plugin, name="a")
    assert made.id == "a"
    assert plain(made.properties)["url"] == "http://None@here"
    assert told(plugin) == [(engine_pb2.INFO, "working", True), (engine_pb2.INFO, "still working", True)]


async def test_a_preview_shows_what_is_known_and_creates_nothing(plugin):
    made = await create(plugin, preview=True, name="a", fail="permanent")
    assert plain(made.properties) == {
        "name": "a", "size": 1, "place": "here", "root": "/", "fail": "permanent", "url": UNKNOWN,
    }  # fmt: skip
    assert not made.id
    assert told(plugin) == [(engine_pb2.INFO, "would create a here", False)]


async def test_a_preview_that_nobody_is_let_in_for_warns_and_knows_nothing(plugin):
    made = await create(plugin, preview=True, name="a", password=secret("hush-hush"), fail="closed")
    assert plain(made.properties)["url"] == UNKNOWN
    text = "could not be looked at: no key for [secret]; what comes of it is not known"
    assert told(plugin)[-1] == (engine_pb2.WARNING, text, False)


async def test_a_preview_that_is_refused_fails(plugin):
    with pytest.raises(grpc.aio.AioRpcError, match="the key is refused"):
        await create(plugin, preview=True, name="a", fail="refused")


async def test_what_acts_and_what_reads_say_that_nobody_is_let_in_as_the_protocol_does(plugin):
    with pytest.raises(grpc.aio.AioRpcError, match="no key") as failed:
        await create(plugin, name="a", fail="closed")
    assert failed.value.code() == grpc.StatusCode.UNAUTHENTICATED
    state = struct({"name": "a", "fail": "closed", "url": "u"})
    with pytest.raises(grpc.aio.AioRpcError, match="no key") as unread:
        await plugin.stub.Read(pb.ReadRequest(urn=urn_of("Fake"), id="a", properties=state))
    assert unread.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_preview_with_unknown_inputs_asks_the_handler_nothing(plugin):
    made = await create(plugin, preview=True, name=UNKNOWN)
    assert plain(made.properties)["name"] == UNKNOWN
    assert told(plugin) == []


async def test_a_preview_tells_the_rest_where_something_stands_for_what_is_unknown(plugin):
    made = await create(plugin, preview=True, name="a", place=UNKNOWN)
    assert plain(made.properties)["place"] == UNKNOWN
    assert "would create a somewhere" in str(plugin.log.__dict__)


async def test_a_preview_of_an_update_keeps_what_the_update_will_keep(plugin):
    old = {"name": "a", "url": "http://old"}
    request = pb.UpdateRequest(
        urn=urn_of("Fake"), id="a", olds=struct(old), news=struct({"name": "a", "size": 2}), preview=True
    )
    assert plain((await plugin.stub.Update(request)).properties)["url"] == "http://old"


async def test_secrets_stay_secret_in_outputs_and_are_never_told(plugin):
    made = await create(plugin, name="a", password=secret("hush-hush"))
    outputs = plain(made.properties)
    assert outputs["password"] == secret("hush-hush")
    assert outputs["url"] == secret("http://hush-hush@here")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await create(plugin, name="a", password=secret("hush-hush"), fail="permanent")
    assert failed.value.details() == "a with [secret] is too much; take less"


async def test_an_expected_error_is_its_text_alone(plugin):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await create(plugin, name="a", fail="retryable")
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.UNAVAILABLE, "not yet")


async def test_an_unexpected_error_says_where_and_keeps_the_traceback(plugin, tmp_path):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await create(plugin, name="a", fail="unexpected")
    assert "unexpected KeyError at " in failed.value.details()
    assert "Traceback" not in failed.value.details()
    assert "Traceback" in (tmp_path / "run" / "provider.log").read_text()
    assert [severity for severity, text, _ in told(plugin) if "Traceback" in text] == [engine_pb2.DEBUG]


async def test_what_a_failed_create_made_is_handed_over_to_be_kept(plugin):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await create(plugin, name="a", password=secret("hush-hush"), fail="partial")
    packed = dict(failed.value.trailing_metadata())["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (failed.value.code().value[0], "only half")
    kept = pb.ErrorResourceInitFailed()
    assert status.details[0].Unpack(kept)
    assert (kept.id, list(kept.reasons)) == ("a", ["only half"])
    assert plain(kept.properties)["password"] == secret("hush-hush")
    assert plain(kept.inputs)["fail"] == "partial"


async def test_a_custom_timeout_ends_a_create(plugin):
    with pytest.raises(grpc.aio.AioRpcError, match=r"not done after 0.1 s"):
        await create(plugin, seconds=0.1, name="a", fail="hang")


async def test_a_cancel_reaches_the_handlers(plugin):
    waiting = asyncio.create_task(create(plugin, name="a", fail="wait"))
    await plugin.log.told.wait()
    await plugin.stub.Cancel(empty_pb2.Empty())
    with pytest.raises(grpc.aio.AioRpcError, match="cancelled"):
        await waiting


async def test_the_same_inputs_are_no_difference(plugin):
    found = await diff(plugin, {"name": "a"}, {"name": "a", "size": 1})
    assert found.changes == pb.DiffResponse.DIFF_NONE
    assert not found.detailedDiff


async def test_a_difference_names_its_paths_and_what_it_replaces(plugin):
    found = await diff(plugin, {"name": "a", "password": secret("x")}, {"name": "a", "size": 2, "place": "there"})
    kinds = {path: pb.PropertyDiff.Kind.Name(entry.kind) for path, entry in found.detailedDiff.items()}
    assert kinds == {"size": "UPDATE", "place": "UPDATE_REPLACE", "password": "DELETE"}
    assert list(found.replaces) == ["place"]
    assert found.deleteBeforeReplace


async def test_what_means_nothing_or_is_ignored_is_no_difference(plugin):
    found = await diff(plugin, {"name": "a", "root": "/x"}, {"name": "a", "root": "/y", "size": 3}, ignore=["size"])
    assert found.changes == pb.DiffResponse.DIFF_NONE


async def test_an_output_that_drifted_from_what_is_declared_is_a_difference(plugin):
    found = await diff(plugin, {"name": "a", "size": 2}, {"name": "a", "size": 2}, {"name": "a", "size": 1, "url": "u"})
    assert list(found.detailedDiff) == ["size"]
    assert not found.detailedDiff["size"].inputDiff
    assert not found.replaces


async def test_a_read_shows_drift_in_the_inputs_and_leaves_open_what_was_open(plugin):
    request = pb.ReadRequest(
        urn=urn_of("Fake"),
        id="a",
        properties=struct({"name": "a", "url": "u", "size": 2}),
        inputs=struct({"name": "a", "size": 2}),
    )
    found = await plugin.stub.Read(request)
    assert plain(found.inputs) == {"name": "a", "size": 7}
    assert plain(found.properties)["size"] == 7


async def test_a_read_of_what_is_gone_is_empty_and_says_so(plugin):
    request = pb.ReadRequest(urn=urn_of("Fake"), id="a", properties=struct({"name": "gone", "url": "u"}))
    assert not (await plugin.stub.Read(request)).id
    assert "it is not there any more" in [text for _, text, _ in told(plugin)]


async def test_what_cannot_be_imported_is_said(plugin):
    with pytest.raises(grpc.aio.AioRpcError, match="cannot be imported by its id"):
        await plugin.stub.Read(pb.ReadRequest(urn=urn_of("Fake"), id="a"))


async def test_functions_and_methods_are_refused_clearly(plugin):
    with pytest.raises(grpc.aio.AioRpcError, match="no function heliostat:index:f"):
        await plugin.stub.Invoke(pb.InvokeRequest(tok="heliostat:index:f"))


async def test_an_engine_that_is_gone_stops_nothing(plugin, monkeypatch):
    await plugin.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:9"))
    assert (await create(plugin, name="a")).id == "a"


async def test_the_process_says_its_port_and_nothing_else_and_manages_a_store(tmp_path):
    async with plugin_process() as running:
        inputs = {"uri": f"file://{tmp_path}/o", "onDestroy": "delete"}
        assert await running.up("ObjectStore", inputs) == inputs
        assert await running.up("ObjectStore", {**inputs, "onDestroy": "keep"}) == {**inputs, "onDestroy": "keep"}
        await running.up("ObjectStore", inputs)
        await running.destroy("ObjectStore")
        assert not (tmp_path / "o").exists()
        assert running.process
        running.process.terminate()
        assert running.process.stdout
        assert running.process.stdout.read() == ""


async def test_a_plugin_ends_with_the_engine_that_started_it(tmp_path):
    starter = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, {str(PLUGIN)!r}, '127.0.0.1:9'], stdout=subprocess.PIPE)\n"
        "p.stdout.readline(); print(p.pid, flush=True); time.sleep(600)\n"
    )
    engine = await asyncio.create_subprocess_exec(sys.executable, "-c", starter, stdout=asyncio.subprocess.PIPE)
    assert engine.stdout
    plugin = psutil.Process(int(await engine.stdout.readline()))
    engine.kill()
    await engine.wait()
    assert await proc.exited(plugin, 20)


async def test_the_schema_has_every_resource_with_descriptions(plugin, monkeypatch):
    monkeypatch.delitem(registry.HANDLERS, "heliostat:index:Fake")
    schema = json.loads((await plugin.stub.GetSchema(pb.GetSchemaRequest())).schema)
    assert schema["resources"].keys() == registry.HANDLERS.keys()
    cluster = schema["resources"]["heliostat:index:RayCluster"]
    assert cluster["requiredInputs"] == ["directory"]
    assert cluster["inputProperties"]["workers"]["$ref"] == "#/types/heliostat:index:RayWorkers"
    assert cluster["required"] == ["address", "directory", "gcsAddress"]
    assert schema["types"]["heliostat:index:OnDestroy"]["enum"] == [{"value": "keep"}, {"value": "delete"}]
    references = set(_references(schema))
    assert references - {"pulumi.json#/Any"} <= {f"#/types/{name}" for name in schema["types"]}


def _references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


@pytest.mark.parametrize("preview", [True, False])
async def test_a_create_without_an_input_that_is_needed_names_it(plugin, preview):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(plugin, preview=preview)
    assert "name" in refused.value.details()
