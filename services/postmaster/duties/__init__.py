"""What the postmaster does without being asked: sweeping, burying, keeping the partitions."""
