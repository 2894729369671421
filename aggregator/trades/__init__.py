"""The trade stream: from what venues and clients send to stored trades, live features and topics.

    ingest.py (parse), validation.py (check) -> event_log/ (waiting trades) -> processor.py (micro-batches)
        -> store (durable, each key once) -> windows.py, features.py (per asset) -> topics.py (trades, features)

`ports.py` has what the processor needs of stores and logs, and what the API and the feeds need of the processor.
"""
