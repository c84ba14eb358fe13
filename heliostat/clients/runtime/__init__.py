"""What every client package carries, beside what is made of its contract: these files are copied into it as they are."""
