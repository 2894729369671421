"""Mock exchanges for tests and the demo: any number of venues that quote one invented market over HTTP and WebSockets.

`market` computes prices and volumes as pure functions of seed, venue, symbol and time. `plants` schedules unusual
events in them, and `news` has an article for each planted headline. `symbols` reads the two files that a market needs:
symbols.csv, and example price levels in levels.csv. `trades` makes the trades of a venue, and `recent_trades` keeps the
last ones. `faults` decides what an active fault does to a call. `ticker` writes tickers as JSON, `answers` other JSON.
`server` serves tickers and trades over HTTP, `planted_routes` plants and news. `feed` and `trade_feed` push tickers and
trades over WebSockets to the clients of `connections`, and `__main__` is the command line. Imports go one way: market
-> plants -> symbols, trades, faults, ticker, news, answers -> connections, recent_trades, planted_routes -> feed,
trade_feed -> server -> __main__. Nothing here imports `aggregator`.
"""
