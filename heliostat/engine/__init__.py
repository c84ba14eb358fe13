"""The embedded deployment engine: runs a Pulumi program and its provider plugins without the official CLI.

It knows nothing of Heliostat's own resources; it would run any Pulumi program in Python. The command line in
`heliostat.cli` is its only caller.
"""
