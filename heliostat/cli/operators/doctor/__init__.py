"""What a machine lacks before `up`: facts are gathered, findings are decided from them by pure functions."""
