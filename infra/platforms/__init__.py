"""The platforms: each module makes one kind and gives the same `heliostat.resources.Platform`."""
