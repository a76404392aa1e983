"""The structure of a message: pure functions over octets (RFC 2045, RFC 5322)."""
