"""A price service between you and the exchanges, told as one walk through its rooms.

`tiers` reads symbols.csv and says which asset is due when; `refresher` asks the `exchanges` (each behind its guard),
`pricing` makes one price of their tickers, and `commit` puts it into the `stores`: a cache for lookups and a history
for good. `lookup` is the way back: cache, history, or a refresh now; `api` speaks HTTP. `models` and `errors` are the
nouns everyone uses, `ports` the seams between the rooms, `settings` what you may choose, and `service` the one place
that knows which adapter is behind which seam. `__main__` is the command line, `demo` the whole thing with invented
exchanges.
"""
