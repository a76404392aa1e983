"""imap-gateway: mailboxes for clients (RFC 3501)."""
