"""What the sessions of a process share: mailboxes, contents, octets under way, and their bounds."""
