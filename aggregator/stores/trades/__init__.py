"""Stores of trades: one module a kind, listed in `registry`."""
