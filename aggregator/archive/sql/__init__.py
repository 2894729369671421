"""Queries in SQL over the archive and the hot stores: the session, its views and its checks."""
