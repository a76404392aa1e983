"""Judging what was sent, while the client waits: authentication, then the checks side by side, then one verdict."""
