"""Prices: tiers and their schedule, refreshes, the arithmetic of a price, and the lookup of one."""
