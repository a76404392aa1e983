"""Rules in the manner of SpamAssassin: read from its language, kept as values, matched in linear time by RE2. Pure."""
