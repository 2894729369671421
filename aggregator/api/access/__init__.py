"""Access to the API: keys, hosts and origins, rate limits of clients, and what requests that write must fulfil."""
