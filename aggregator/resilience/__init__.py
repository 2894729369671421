"""Tools against load and failure that know no price: single flight, group commit, backoff."""
