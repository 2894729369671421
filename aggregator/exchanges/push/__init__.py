"""WebSocket feeds of venues that push tickers.

    socket.py -> feed.py (connect, subscribe, reconnect) -> the venue's push dialect -> book.py (newest valid tickers)

`socket` is the only user of aiohttp here. `wrapped.PushedExchange` answers from a feed and polls for the rest.
"""
