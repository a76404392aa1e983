"""What judging and routing cost: ``make bench BENCH=--policy``."""
