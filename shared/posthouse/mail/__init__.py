"""THE WORDS: the vocabulary of mail, pure values without I/O."""
