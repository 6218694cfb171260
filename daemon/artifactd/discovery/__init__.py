"""Finding artifacts: what is in the data directory, and whether it is complete."""
