"""Messages of accounts that were accepted while nobody judged."""
