"""Mock exchanges for tests and the demo: any number of venues that quote one invented market over HTTP and WebSockets.

`market` computes prices and volumes as pure functions of seed, venue, symbol and time. `symbols` reads the two files
that a market needs: symbols.csv, and example price levels in levels.csv. `trades` makes the trades of a venue, and
`recent_trades` keeps the last ones. `faults` decides what an active fault does to a call. `ticker` writes tickers as
JSON. `server` serves tickers and trades over HTTP, `feed` and `trade_feed` push them over WebSockets to the clients of
`connections`, and `__main__` is the command line. Imports go one way: market -> symbols, trades, faults, ticker ->
connections, recent_trades -> feed, trade_feed -> server -> __main__. Nothing here imports `aggregator`.
"""
