"""The outbox of outlets: a file in which events wait, and the senders, which keep the order of each asset."""
