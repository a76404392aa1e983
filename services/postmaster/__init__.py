"""postmaster: the operators' API and command, and the duties in the background."""
