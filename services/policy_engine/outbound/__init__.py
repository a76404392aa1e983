"""Mail that leaves: limits, and accounts that do not behave as they used to."""
