"""What a batch prediction reads, asks and writes: the parts of the job `heliostat.jobs.batch_predict`."""
