"""The platform on Google Cloud: what a project needs, a network, keys, a bucket, a database, a registry and a GKE cluster."""

from __future__ import annotations

from typing import Final

import pulumi
import pulumi_gcp as gcp

from heliostat.platforms.gcp.cluster import STORAGE_CLASS, Cluster, ClusterArgs
from heliostat.platforms.gcp.database import Database, DatabaseArgs
from heliostat.platforms.gcp.identity import Keys, NodeIdentity, Project, let_pods_in, pod_member
from heliostat.platforms.gcp.naming import keeps, labels_of, prefix_of
from heliostat.platforms.gcp.network import Network, NetworkArgs, let_control_plane_in
from heliostat.platforms.gcp.pools import cloud_pools, node_pools
from heliostat.platforms.gcp.registry import Registry
from heliostat.platforms.gcp.store import Store
from heliostat.platforms.underlay import Underlay
from heliostat.resources import Platform, Token
from heliostat.spec.machines import NoSuchMachineError
from heliostat.spec.platforms.gcp import GcpPlatform as Spec
