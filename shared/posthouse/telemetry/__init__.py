"""Logs, metrics, probes: what operators see of a service."""
