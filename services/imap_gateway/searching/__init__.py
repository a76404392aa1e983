"""SEARCH, SORT and THREAD beyond what the view knows (RFC 3501 §6.4.4, RFC 5256, RFC 5267)."""
