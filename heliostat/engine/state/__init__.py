"""What a stack is known by: its checkpoint, and the backend that keeps it."""
