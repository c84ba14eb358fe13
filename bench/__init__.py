"""What the README's table says, measured on this machine: `python -m bench`."""
