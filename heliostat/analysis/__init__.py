"""The runner of analyses, a process beside the controller: asks both versions the same, and measures what they answer."""
