"""The HTTP API on Starlette.

`app` builds the application of routes, and `openapi` its document. A request passes `server`, `tracing_middleware`,
`fast_path`, `middleware` and `access.policy` before it reaches a route. The packages, from the top:

    fast_path   requests that are answered without Starlette
    streams     /stream and /ws: topics as Server-Sent Events and over WebSockets
    events      /alerts, /anomalies, /sentiment, /signals, /positions: stored events
    prices      /prices, /sparklines and /refresh
    status      /health, /ready, /metrics, /assets and /exchanges
    trades      /ingest, /trades, /quotes, /aggregations and /features
    udf         /udf: TradingView's datafeed
    access      keys, hosts and origins, and the rate limits of clients
    reads       reads from stores for a response, with time limits and in pages
    server      uvicorn with bounds
    routing     routes that describe themselves, their parameters, bodies of requests, and responses

The page (`pages` and the folder `page`) and the site of the documentation (`guide`) are beside them.

The package knows stores and exchanges only by their interfaces in `aggregator.ports`.
"""
