"""What a session sees: messages, sequence numbers, what it was told of. Pure."""
