"""What an operation does, decided registration by registration."""
