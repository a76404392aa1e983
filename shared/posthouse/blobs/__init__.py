"""Object storage: one port, and its drivers."""
