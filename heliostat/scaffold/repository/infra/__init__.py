"""The Pulumi program of this repository."""
