"""A simulated stretch of time: a workload's own data as a log, month by month, with its monitor, retrainings and the gate."""
