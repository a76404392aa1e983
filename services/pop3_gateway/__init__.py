"""pop3-gateway: the maildrop for clients (RFC 1939)."""
