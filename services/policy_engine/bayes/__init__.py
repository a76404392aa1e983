"""The naive Bayes classifier as a check: what was learned, remembered for seconds, and what it says."""
