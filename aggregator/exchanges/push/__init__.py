"""WebSocket feeds of venues that push tickers and trades.

    socket.py -> connection_loop.py (connect, subscribe, reconnect)
        -> feed.py -> the venue's push dialect -> book.py (newest valid tickers)
        -> trade_feed.py -> the venue's trade dialect -> the event log; trade_gaps.py finds what was missed

`socket` is the only user of aiohttp here. `wrapped.PushedExchange` answers from a feed and polls for the rest.
"""
