"""What every store of objects shares: one put is decided, sent whole or in parts, and described."""
