"""The CrossGuard policy pack: `rules` holds the rules as plain functions, `__main__` the pack itself."""
