"""Posthouse on one machine: private servers, every service, a demo domain, a live status."""
