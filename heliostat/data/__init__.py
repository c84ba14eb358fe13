"""Data as values: profiles, schemas, drift, leakage and splits. Pure, on Arrow."""
