"""policy: admits at the door and routes once (RFC 5321 §3.4, §3.9)."""
