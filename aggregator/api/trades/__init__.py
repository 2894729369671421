"""The routes of trades: POST /ingest, stored trades, the last trade and the features of each asset."""
