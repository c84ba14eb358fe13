"""The files of a workload, as text, from a plan and what a run told. Pure."""
