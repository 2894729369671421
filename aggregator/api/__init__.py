"""The HTTP API on Starlette.

A module for each route or group of routes (`prices`, `history`, `stream`, `ops` …) has the handlers and their
descriptions (`route`). `app` builds the application of them, and `openapi` its document. A request passes
`tracing_middleware`, `fast_path`, `middleware` and `policy` before it reaches a route.

The package knows stores and exchanges only by their interfaces in `aggregator.ports`.
"""
