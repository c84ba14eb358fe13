"""A platform in small over the typed SDKs of three packages, none of whose plugins is on the machine that tests it."""

PLATFORM = """
import pulumi_aws as aws
import pulumi_gcp as gcp
import pulumi_kubernetes as k

there = aws.Provider("there", region="eu-west-1", default_tags={"tags": {"a": "b"}}, skip_credentials_validation=True)
o = Options(provider=there)
zones = aws.get_availability_zones_output(opts=pulumi.InvokeOutputOptions(provider=there))
vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=o)
subnet = aws.ec2.Subnet("subnet", vpc_id=vpc.id, cidr_block="10.0.1.0/24", availability_zone=zones.names[0], opts=o)
bucket = aws.s3.Bucket("bucket", tags={"x": "y"})
cluster = aws.eks.Cluster("cluster", role_arn="arn", vpc_config={"subnet_ids": [subnet.id]})
scaling = {"min_size": 0, "max_size": 2, "desired_size": 0}
group = aws.eks.NodeGroup(
    "group", cluster_name=cluster.name, node_role_arn="arn", subnet_ids=[subnet.id], scaling_config=scaling
)
database = aws.rds.Instance("database", instance_class="db.t3.micro", password="hunter2hunter2")
seen = aws.ec2.Vpc.get("seen", "vpc-1")

kp = k.Provider("kp", kubeconfig=cluster.endpoint)
ko = Options(provider=kp)
ns = k.core.v1.Namespace("ns", metadata={"name": "ml"}, opts=ko)
labels = {"app": "x"}
pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
dep = k.apps.v1.Deployment(
    "dep",
    metadata={"namespace": ns.metadata["name"]},
    spec={"replicas": 1, "selector": {"match_labels": labels}, "template": pod},
    opts=ko,
)
ray = k.apiextensions.CustomResource(
    "ray", "ray.io/v1", "RayCluster", metadata={"namespace": ns.metadata.name}, spec={"a_b": {"c": 1}}, opts=ko
)
release = k.helm.v3.Release("release", chart="kuberay-operator", values={"a_b": 1}, opts=ko)
held = k.yaml.v2.ConfigGroup(
    "held",
    objs=[{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}}],
    opts=Options(providers={"kubernetes": kp}),
)
pool = gcp.container.NodePool("pool", cluster="c", placement_policy={"type": "COMPACT", "tpu_topology": "2x4"})
other = pulumi.StackReference("other")

pulumi.export("namespace", ns.metadata["name"])
pulumi.export("image", dep.spec.template.spec.containers[0].image)
pulumi.export("sg", cluster.vpc_config.cluster_security_group_id)
pulumi.export("name", dep.metadata["name"])
pulumi.export("seen", seen.cidr_block)
pulumi.export("password", database.password)
pulumi.export("bucket", bucket.bucket)
pulumi.export("other", other.get_output("x"))
"""
