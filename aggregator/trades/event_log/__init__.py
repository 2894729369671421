"""Event logs: where trades wait for the processor. One module a kind."""
