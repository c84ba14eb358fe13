"""Declares this workload: data, training, model and application, of the modules beside this one."""

from heliostat.resources.served_model import by_convention

from workloads.tumours.parameters import Training

TRAINING = Training()
declare = by_convention(__name__, TRAINING)
