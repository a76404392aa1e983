"""The language of IMAP: framing, grammar, commands as values, responses. Pure."""
