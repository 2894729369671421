"""A stand-in for three exchanges that quote one invented market.

`market` is that market: prices and volumes as pure functions of seed, venue, symbol and time. `symbols` reads the two
files it needs (symbols.csv, and the example levels in levels.csv). `faults` says which faults are switched on and what
they do to one call. `ticker` writes tickers as JSON. `server` answers HTTP with all of these, and `__main__` is the
command line. Imports run one way: market -> symbols, faults, ticker -> server -> __main__. Nothing here imports
`aggregator`.
"""
