"""The provider that records keeps to what its users lean on."""

from tests.platforms.recorded_stack import SECRET, UNKNOWN, RecordedStack

PROGRAM = """
import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, Service

size = pulumi.Config("lab").get("size") or "1"
service = Service("web", metadata={"name": "web", "namespace": "ml"}, spec={"type": "LoadBalancer"})
host = service.status.apply(lambda status: status.load_balancer.ingress[0].hostname)
secret = pulumi.Output.secret("sesame")
ConfigMap("settings", metadata={"name": "settings", "namespace": "ml"}, data={"host": host, "secret": secret, "size": size})
"""


async def test_a_stack_is_previewed_made_left_alone_changed_and_destroyed(tmp_path):
    stack = RecordedStack(tmp_path, {"lab:size": "1"}, ("kubernetes",), PROGRAM)
    assert (await stack.preview()).succeeded, stack.errors()
    assert stack.world() == {}
    assert (await stack.up()).succeeded, stack.errors()
    assert sorted(stack.world().values()) == ["ml/settings", "ml/web"]
    plan = {each["name"]: each for each in stack.plan()}
    assert plan["settings"]["inputs"]["data"] == {"host": UNKNOWN, "secret": SECRET, "size": "1"}
    assert plan["settings"]["dependsOn"] == ["kubernetes:core/v1:Service web"]
    assert stack.resource("kubernetes:core/v1:ConfigMap", "settings").outputs["data"]["host"] == "web.elb.example"
    assert "sesame" not in stack.stored()
    assert (await stack.up()).succeeded, stack.errors()
    assert stack.touched() == []
    stack.config["lab:size"] = "2"
    assert (await stack.up()).succeeded, stack.errors()
    assert stack.touched() == ["update kubernetes:core/v1:ConfigMap settings"]
    assert (await stack.destroy()).succeeded, stack.errors()
    assert stack.world() == {}
