"""Lists of good and bad senders: in DNS, and our own."""
