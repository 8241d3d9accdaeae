"""What the tests stand on: servers and workers of their own, started and ended here."""
