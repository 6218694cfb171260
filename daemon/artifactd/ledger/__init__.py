"""On record: how every copy stands, and what happened to it, in one SQLite file."""
