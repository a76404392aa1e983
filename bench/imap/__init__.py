"""``make bench BENCH=--imap``: mailboxes as their readers find them, beside Debian's Dovecot."""
