"""Client packages: made of a contract alone, for programs that have nothing of this library."""
