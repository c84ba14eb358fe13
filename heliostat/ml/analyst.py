"""The name that `heliostat.analysis` had as a program: controllers that run, and their settings, start it by that."""

from heliostat.analysis.__main__ import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
