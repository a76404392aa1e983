"""Scoring by rules: the table that is in force, the check that runs it, and what shadows would change."""
