"""The HTTP contract on Starlette: `app` joins the routes, `prices` answers about prices, `ops` about the service.

`openapi` says all that once more, for machines.

Nothing here knows a store or an exchange: it asks `aggregator.ports`.
"""
