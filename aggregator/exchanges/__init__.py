"""Exchanges, asked over HTTP, each behind a guard.

`guarded` is what all have in common: `listing` tells whom to ask for what (`listings` keeps them), `guard` whether to
ask at all (the only user of aiobreaker), `quiet` for how long not to because the exchange has said so, `allowance` how
often (the only user of aiolimiter). `http` does the asking (with `connection`, which bounds what arrives, and
`push/socket` the only user of aiohttp), with one small dialect file per exchange that knows its addresses and answers,
and `parts`, which cuts long listings; or `ccxt` does, for exchanges we have no dialect of. Around one there may be
others: `push/` for those that push, `converting` for quotes that stand in for others, `replay` for what `recording` has
kept. The rest of the package sees `aggregator.ports.Exchange`.
"""
