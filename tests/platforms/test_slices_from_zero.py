"""A slice of TPUs comes whole, from none, for what Ray Train asks of Ray's autoscaler: by the autoscaler's own code."""

from __future__ import annotations

import pytest
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import ClusterResourceConstraint, ResourceRequestByCount
from ray.train import ScalingConfig
from ray.train._internal.autoscaling_coordinator_client import build_train_resource_request

from heliostat.spec.groups import ChosenGroup
from heliostat.spec.machines import worker_groups
from heliostat.spec.platforms.kubernetes import KubernetesPlatform
from heliostat.spec.scaling import scaling_arguments
from heliostat.spec.workload import Scaling
from tests.platforms.kubernetes_config import PLATFORM
from tests.platforms.test_kubernetes_parts import cluster


def launched(name: str, workers: int) -> dict[str, int]:
    """The nodes that the autoscaler brings to a cluster of a head alone, for a training on a group, by group."""
    groups = KubernetesPlatform.model_validate(PLATFORM).groups
    chosen = ChosenGroup(name=name, group=worker_groups(groups, dict.fromkeys(groups))[name])
    config = ScalingConfig(**scaling_arguments(Scaling(group=name, workers=workers), chosen))
    asked, selectors = build_train_resource_request(config, workers)
    assert not selectors
    requests = [ResourceRequestByCount(request=ResourceRequestUtil.make(each), count=1) for each in asked]
    types = AutoscalingConfig(
        _derive_autoscaling_config_from_ray_cr(cluster()), skip_content_hash=True
    ).get_node_type_configs()
    reply = ResourceDemandScheduler().schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=types,
            max_num_nodes=100,
            cluster_resource_constraints=[ClusterResourceConstraint(resource_requests=requests)],
        )
    )
    # One of `cpu` stays at any time.
    return {each.instance_type: each.count for each in reply.to_launch if each.instance_type != "cpu"}


@pytest.mark.parametrize("slices", [1, 2])
def test_all_hosts_of_each_slice_are_brought_for_a_training_where_there_is_none(slices: int) -> None:
    assert launched("v6e", 4 * slices) == {"v6e": 4 * slices}


def test_a_training_on_another_group_brings_no_slice() -> None:
    assert launched("l4", 3) == {"l4": 3}
