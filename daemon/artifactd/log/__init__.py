"""What the log says, how it looks, and where it goes."""
