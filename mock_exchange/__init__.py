"""Mock exchanges for tests and the demo: any number of venues that quote one invented market over HTTP and WebSockets.

`market` computes prices and volumes as pure functions of seed, venue, symbol and time. `symbols` reads the two files
that a market needs: symbols.csv, and example price levels in levels.csv. `faults` decides what an active fault does to
a call. `ticker` writes tickers as JSON. `server` serves them over HTTP, `feed` pushes them over WebSockets to the
clients of `connections`, and `__main__` is the command line. Imports go one way: market -> symbols, faults, ticker ->
connections -> feed -> server -> __main__. Nothing here imports `aggregator`.
"""
