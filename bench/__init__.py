"""Posthouse beside Debian's Postfix and Dovecot, in one sitting on this machine."""
