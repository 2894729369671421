"""The streams of topics: Server-Sent Events and WebSockets."""
