"""What the classifier has learned: for the house (`SITE`), and for accounts, each a corpus of its own.

A wish that a message be learned leads to a lesson (what was learned as what), and that to tokens.
"""
