"""What APPEND is made of: octets, parts of messages that are there, their places (RFC 4469)."""
