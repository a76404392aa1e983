"""Greylisting: who is not known has to come again."""
