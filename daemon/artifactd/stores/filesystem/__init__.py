"""A directory."""
