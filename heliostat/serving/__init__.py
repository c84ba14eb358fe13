"""One replica: what a model answers, whatever transport the rows come by, and the log of it."""
