"""The naive Bayes classifier: what a message is made of, and how much that looks like spam. Pure."""
