"""gRPC: calls as the traffic plane passes them on, by the Open Inference Protocol and by the contract's own service."""
