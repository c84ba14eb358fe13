"""The name that `heliostat.serving.prediction_log.files` had as a program: replicas that run seal their spools by that."""

from heliostat.serving.prediction_log.files import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
