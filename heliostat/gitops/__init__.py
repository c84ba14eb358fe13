"""What teams do through branches and pull requests: environments, what a change affects, pins. It drives either engine as the
command does, and decides in pure functions.
"""
