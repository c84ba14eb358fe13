"""The `heliostat` command: the official CLI's commands over the embedded engine, or that CLI itself where it is there."""
