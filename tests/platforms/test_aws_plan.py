"""What the platform `aws` asks for, from an empty account to one that is empty again."""

from tests.platforms import golden
from tests.platforms.aws_stack import PLATFORM, aws_stack


async def test_a_stack_is_made_as_was_reviewed_changed_where_its_config_is_and_destroyed_but_for_data(tmp_path):
    stack = aws_stack(tmp_path)
    assert (await stack.preview()).succeeded, stack.errors()
    assert (await stack.up()).succeeded, stack.errors()
    golden.check("aws", stack.plan())
    assert "sesame" not in stack.stored()

    larger = PLATFORM["groups"] | {"l4": PLATFORM["groups"]["l4"] | {"max": 6}}
    stack.config["heliostat:platform"] = PLATFORM | {"groups": larger}
    assert (await stack.up()).succeeded, stack.errors()
    nodes, cluster = sorted(stack.touched())
    assert nodes == "update aws:eks/nodeGroup:NodeGroup l4"
    assert cluster.startswith("update kubernetes:ray.io/v1:RayCluster ray-")

    assert (await stack.destroy()).succeeded, stack.errors()
    assert {urn.split("::")[2].rpartition("$")[2] for urn in stack.world()} == {
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:ec2/subnet:Subnet",
        "aws:ec2/vpc:Vpc",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:ecr/repository:Repository",
        "aws:kms/key:Key",
        "aws:rds/instance:Instance",
        "aws:rds/parameterGroup:ParameterGroup",
        "aws:rds/subnetGroup:SubnetGroup",
        "aws:s3/bucket:Bucket",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
    }
