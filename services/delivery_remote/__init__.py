"""delivery-remote: relays to the world, retries, and tells the sender (RFC 5321 §4.5.4, RFC 3464)."""
