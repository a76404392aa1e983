"""Taking over tables of Postfix and the control files of qmail. Pure, but for the files it reads."""
