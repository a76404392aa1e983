"""Scanners of others: ClamAV (clamd), SpamAssassin (spamd), rspamd; asked beside our own checks."""
