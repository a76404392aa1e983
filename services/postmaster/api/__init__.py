"""The HTTP API: what operators and the command line ask the house (versioned under ``/api/v1``)."""
