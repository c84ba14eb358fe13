"""Programs that Ray's Jobs API runs: `python -m heliostat.jobs.<name> <where its specification lies>`."""
