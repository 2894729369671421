"""Outlets: events of topics, sent to a queue, a Kafka topic, a webhook or the standard output.

receivers   the kinds of outlets; registry.py lists them
outbox      the file in which events wait, and the senders that empty it
sources.py  stores that hand over to the outlets what is written to them
"""
