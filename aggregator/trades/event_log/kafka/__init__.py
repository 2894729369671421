"""`kafka://`: a Kafka topic as the log of trades."""
