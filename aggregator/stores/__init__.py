"""Stores, chosen by URL: `memory` and `redis` are caches; `sqlite`, `dynamodb` and `postgresql` are histories.

`registry` has every store by the scheme of its URL. Each store is the only user of its library, and maps the library's
exceptions to `aggregator.errors.StoreError`. `tests/stores` runs one contract suite over all five. The package
`trades` has the stores of trades, and `events` those of events and positions, each with a registry of its own. `outbox`
and `waiting_file` keep on disk what waits for a database.

To add a history, write a module with a class for `aggregator.ports.History` and a `definition.HistoryStore`, and add a
line to `registry.HISTORIES`. Settings, their documentation, the service and `doctor` get it from there.
"""
