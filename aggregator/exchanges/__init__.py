"""Exchanges, asked over HTTP, each behind a guard.

`http` does the asking (with `push/socket` the only user of aiohttp), `guard` decides whether to ask at all (the only
user of aiobreaker), `quiet` for how long not to because the exchange has said so, and one small dialect file per
exchange knows its addresses and answers. `push/` is for those that push. The rest of the package sees
`aggregator.ports.Exchange`.
"""
