"""Signals and paper positions. No order is ever sent anywhere."""
