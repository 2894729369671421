"""Prices: tiers and their schedule, the refresh of a price, the arithmetic of it, and its lookup."""
