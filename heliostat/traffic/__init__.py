"""The traffic plane: HAProxy's owner, and the program that runs one of several HAProxies as a controller says."""
