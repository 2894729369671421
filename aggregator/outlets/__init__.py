"""Outlets: events of topics, sent to a queue, a Kafka topic, a webhook or the standard output."""
