"""What is watched of a model that serves, as pure functions on Arrow and NumPy: nothing here reads a store or sends a message.

Reports are values that JSON holds. A report's `findings` say what is within its limits, what is not, and what cannot be told;
alarms and retrainings are decided by findings alone.
"""
