"""Rules of users over events of topics."""
