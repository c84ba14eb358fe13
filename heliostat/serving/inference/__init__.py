"""The Open Inference Protocol's view of a contract, whatever carries it: rows as tensors by name, answers as tensors."""
