"""Answers from predictions that were made beforehand, with the model behind them."""
