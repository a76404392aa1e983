"""What messages are found by, documents in them included: made in processes with bounds of time and memory."""
