"""One module for each venue: its addresses, its limits, and the parsing of its answers; `_ws` for its WebSocket."""
