"""Access to the API: keys, hosts and origins, and the rate limits of clients."""
