"""The Pulumi program: what a stack's config declares becomes resources."""
