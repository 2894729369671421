"""The HTTP server, and everything that uses internals of uvicorn.

Other packages import two modules only (import-linter checks it): `server`, which runs an ASGI application, and
`direct_write`, with which the fast paths write a whole response at once. Uvicorn documents `Config`, `Server.serve` and
command-line options; the names that this package uses beyond those are listed in
`tests/api/server/test_private_names.py`, which fails if an upgrade removes one. For this reason pyproject.toml allows
one minor series of uvicorn only.
"""
