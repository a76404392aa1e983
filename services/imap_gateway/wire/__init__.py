"""Octets in and out of one connection: framing, compression, TLS, and waiting."""
