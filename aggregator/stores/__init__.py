"""Stores, chosen by URL: `memory` and `redis` are caches, `sqlite` and `dynamodb` are histories.

Each module is the only user of its library and maps that library's exceptions to `aggregator.errors.StoreError`.
`tests/stores` runs one contract suite over all four.
"""
