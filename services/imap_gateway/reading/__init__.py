"""What FETCH tells of messages, and how their octets leave (RFC 3501 §6.4.5, RFC 3516)."""
