"""The outbox of outlets: a file in which events wait, and the workers that send them in the order of each asset."""
