"""The `heliostat` command: the official CLI's commands over the embedded engine, or the official CLI itself where it is there."""
