"""TLS to servers outside: what a session must be like, why, and whether it was.

`tls_policy` decides for each server from what is known: what operators set, DANE (`dane`), MTA-STS
(`sts`). `guard` gathers that, `proofs` holds a server's certificate against it, `witness` counts
how sessions went, for the reports of RFC 8460.
"""
