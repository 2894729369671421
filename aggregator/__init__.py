"""A price service between you and the exchanges, told as one walk through its rooms.

`tiers` reads symbols.csv, `work` says whose turn it is and `filling` who comes first; `refresher` asks the
`exchanges` (each behind its guard, those named by `targets`; `coverage` knows what they trade) until there is a
`quorum`, `conversion` makes tickers in one quote of those in another where that is wanted, `pricing` makes one price
of them, and `publisher` puts it, in the batches of `commit`, into the `stores`: a history for good, then a cache for
lookups, which tells the `hub`, which tells the local cache of every process, and the `fanout` each `reader` of live
prices. `newest` knows the newest price of each asset that the process has seen, older than which nothing is answered.
`rejections` knows whose tickers do not count. `lookup` is the way back: local cache, shared cache, history, or a
refresh now; `api` speaks HTTP, and `accesses` and `ranking` turn what is asked for into
tiers where that is wanted. `models` and `errors` are the nouns everyone uses, `ports` the seams between the rooms,
`settings` what you may choose, and `service` the one place that knows which adapter is behind which seam and which
process does what. `liquidity` ranks pairs by turnover for `aggregator symbols`. `logs` and `tracing` are how any of
them tells what happens, and `telemetry` who sends that on, where it is wanted. `__main__` is the command line, `demo`
the whole thing with invented exchanges, and `doctor` looks at everything outside that all this depends on.
"""
