"""LDAP (RFC 4511) as far as a login needs it: bind, search, StartTLS."""
