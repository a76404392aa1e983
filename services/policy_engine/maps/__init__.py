"""Maps of addresses: what operators have written becomes of senders and recipients."""
