"""Requests of our own over kept connections: HTTP/1.1 with a known length, and TLS."""
