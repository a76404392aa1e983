"""The indexer: makes messages searchable in the background, in processes of their own."""
