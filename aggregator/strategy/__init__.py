"""Signals of the paper strategy, and its positions. The service sends no order to an exchange."""
