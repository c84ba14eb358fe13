"""What a look of a monitor reads, tries and finds: the parts of the job `heliostat.jobs.monitor`."""
