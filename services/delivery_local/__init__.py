"""delivery-local: files mail into mailboxes, exactly once."""
