"""Who somebody is: passwords and SASL (RFC 4422)."""
