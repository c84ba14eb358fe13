"""The Pulumi program: what the stack's config declares becomes resources."""

from heliostat import program

program.run()
