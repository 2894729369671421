"""The cache in Redis, and the connections to Redis that `aggregator.cluster` uses as well."""
