"""Exchanges that push: a WebSocket feed of tickers in front of one that is polled.

    socket.py -> feed.py (connect, subscribe, begin again) -> a dialect -> book.py (what is believed) -> exchange.py

`socket` is the only user of aiohttp here. What the feed has not, or not young enough, is polled.
"""
