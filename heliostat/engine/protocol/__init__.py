"""What is spoken with programs and plugins, and the processes that they are."""
