"""What the commands know of data sets: which there are, who uses them, how two differ, and which nobody needs."""
