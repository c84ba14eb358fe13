"""Commands of whoever runs a stack: how it is, what a machine lacks for it, where its logs lie, where its pages are."""
