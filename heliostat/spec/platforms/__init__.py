"""What a stack's config declares of each platform, a module a kind; `declared` has them all."""
