"""How a service is run: settings, signals, TLS, and what several services compose the same way."""
