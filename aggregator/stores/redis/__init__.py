"""What processes share through Redis; the only users of redis-py."""
