"""Unusual trades of an asset, by an Isolation Forest over its features."""
