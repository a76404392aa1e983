"""ingress-smtp: takes mail in by SMTP and answers for it (RFC 5321, RFC 6409)."""
