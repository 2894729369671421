"""Adapters to exchanges: polled over HTTP, pushed over WebSockets, through ccxt, or replayed from a recording.

A ticker's way:

    connection (bounds what arrives) -> http (sends requests, checks answers) -> venues/<name> (the dialect)
    -> guarded_exchange (listing, cool-down, breaker, rate limiter, concurrency limit) -> wrapped (pushed, converted)

`registry` has one line for each venue. `dialect` is the contract of a venue's file, `decoding` has its functions.
`listing` knows the pairs of each venue, `parts` cuts long listings, `rate_limit` is the only user of aiolimiter,
`retry_after` reads for how long a venue wants no calls. `recording` is the file format in which `replay` records an
exchange and from which it answers. `targets` reads the setting EXCHANGES.
"""
