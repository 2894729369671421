"""Tools against load and failure: circuit breaker, backoff, single flight, group commit."""
