"""Pulumi resources and components: what a program declares. Nothing here acts; the provider plugin does."""

from heliostat.resources.access import Access
from heliostat.resources.application import Application, ServedVersion
from heliostat.resources.batch_prediction import BatchPrediction
from heliostat.resources.controller import Controller, ControllerArgs
from heliostat.resources.dataset import Dataset
from heliostat.resources.existing_cluster import ExistingCluster
from heliostat.resources.external_model import ExternalModel, ModelAddress, ServedExternalModel
from heliostat.resources.federated_training import FederatedTraining
from heliostat.resources.handover import Handover
from heliostat.resources.model_delivery import ModelDelivery
from heliostat.resources.model_package import ModelPackage
from heliostat.resources.model_version import Candidate, ModelVersion
from heliostat.resources.monitor import Monitor
from heliostat.resources.object_store import ObjectStore
from heliostat.resources.platform import Platform
from heliostat.resources.ray_cluster import RayCluster
from heliostat.resources.served_model import ServedModel
from heliostat.resources.served_model_args import ServedModelArgs
from heliostat.resources.token import Token
from heliostat.resources.tracking_server import TrackingServer
from heliostat.resources.train_job import TrainJob

__all__ = [
    "Access",
    "Application",
    "BatchPrediction",
    "Candidate",
    "Controller",
    "ControllerArgs",
    "Dataset",
    "ExistingCluster",
    "ExternalModel",
    "FederatedTraining",
    "Handover",
    "ModelAddress",
    "ModelDelivery",
    "ModelPackage",
    "ModelVersion",
    "Monitor",
    "ObjectStore",
    "Platform",
    "RayCluster",
    "ServedExternalModel",
    "ServedModel",
    "ServedModelArgs",
    "ServedVersion",
    "Token",
    "TrackingServer",
    "TrainJob",
]
