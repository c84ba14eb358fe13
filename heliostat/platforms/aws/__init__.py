"""The platform `aws`: what AWS gives, and on it what runs in any Kubernetes cluster."""

from heliostat.platforms.aws.platform import AwsPlatform

__all__ = ["AwsPlatform"]
