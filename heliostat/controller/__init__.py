"""The resident process of a cluster: follows replicas, owns HAProxy, runs rollouts. `python -m heliostat.controller`."""
