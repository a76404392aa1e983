"""The advisory locks of duties that one pod at a time does."""

SWEEPER = "sweeper"
PARTITIONS = "partitions"
ROWS = "rows"
OBJECTS = "objects"
READER = "reader"
SUPPRESSIONS = "suppressions"
TLS_REPORTS = "tls-reports"
