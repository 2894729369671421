"""Exchanges, asked over HTTP, each behind a guard.

`http` does the asking (the only user of aiohttp), `guard` decides whether to ask at all (the only user of
aiobreaker), `quiet` for how long not to because the exchange has said so, and one small dialect file per exchange knows
its addresses and answers. The rest of the package sees `aggregator.ports.Exchange`.
"""
