"""Daily reports, ours to others and those of others: what they say, and the mail that brings them. Pure."""
