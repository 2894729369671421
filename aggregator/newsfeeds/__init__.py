"""Adapters of the sources of news. None of them is trusted: calls are bounded in time, size and redirects."""
