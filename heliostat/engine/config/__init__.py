"""What a project and its stacks are configured with."""
