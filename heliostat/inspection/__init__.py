"""A process that imports a workload's code to look at it, so that neither the program nor the plugin has to."""
