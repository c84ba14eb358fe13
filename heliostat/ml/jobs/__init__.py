"""Programs that Ray's Jobs API runs: `python -m heliostat.ml.jobs.<name> <where its specification lies>`."""
