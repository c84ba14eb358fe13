"""The platform `kubernetes`, and what every platform with a cluster has in it."""

from heliostat.platforms.kubernetes.platform import KubernetesPlatform
from heliostat.platforms.kubernetes.services import KubernetesServices

__all__ = ["KubernetesPlatform", "KubernetesServices"]
