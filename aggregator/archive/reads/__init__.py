"""Reads of the archive for requests, behind the stores of prices and trades."""
