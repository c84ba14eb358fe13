"""What the platform `aws` asks for, from an empty account to one that is empty again."""

from heliostat.engine.state.graph import protected
from tests.platforms import golden
from tests.platforms.aws_stack import PLATFORM, aws_stack

DATA = {
    "aws:ec2/subnet:Subnet",
    "aws:ec2/vpc:Vpc",
    "aws:kms/key:Key",
    "aws:rds/instance:Instance",
    "aws:s3/bucket:Bucket",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
}


async def test_a_stack_is_made_as_was_reviewed_changed_where_its_config_is_and_destroyed_but_for_its_data(tmp_path):
    stack = aws_stack(tmp_path)
    assert (await stack.preview()).succeeded, stack.errors()
    assert (await stack.up()).succeeded, stack.errors()
    golden.check("aws", stack.plan())
    assert "sesame" not in stack.stored()

    larger = PLATFORM["groups"] | {"l4": PLATFORM["groups"]["l4"] | {"max": 6}}
    stack.config["heliostat:platform"] = PLATFORM | {"groups": larger}
    assert (await stack.up()).succeeded, stack.errors()
    nodes, *controller, cluster = sorted(stack.touched())
    assert nodes == "update aws:eks/nodeGroup:NodeGroup l4"
    # It is told what the groups may come to.
    assert controller == [
        "update kubernetes:apps/v1:StatefulSet controller",
        "update kubernetes:core/v1:ConfigMap controller-settings",
    ]
    assert cluster.startswith("update kubernetes:ray.io/v1:RayCluster ray-")

    assert not (await stack.destroy(preview_only=True)).succeeded
    assert "database" in stack.errors()
    assert "protected" in stack.errors()
    kept = tuple(each.urn for each in protected(stack.resources()))
    assert (await stack.destroy(excludes=kept)).succeeded, stack.errors()
    left = {urn.split("::")[2].rpartition("$")[2] for urn in stack.world()}
    assert left >= DATA
    assert not {each for each in left if each.startswith(("aws:eks/", "kubernetes:", "aws:ec2/natGateway"))}
    # The next `up` goes on with the same.
    assert {each.type for each in stack.resources()} >= {
        "aws:rds/instance:Instance",
        "aws:s3/bucket:Bucket",
        "aws:ec2/vpc:Vpc",
    }
