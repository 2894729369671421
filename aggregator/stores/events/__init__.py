"""Stores of events other than prices and trades, and of paper positions."""
