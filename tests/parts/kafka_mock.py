"""`python -m tests.parts.kafka_mock`: librdkafka's mock cluster in a process of its own; it prints its address.

Topics have four partitions and are created by their first use. The newest 5 MB of each partition are kept, in memory.
"""

from confluent_kafka import Producer


def main() -> None:
    """Serve until the process is killed."""
    cluster = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=30).brokers.values()
    print("listening on", ",".join(f"{one.host}:{one.port}" for one in brokers), flush=True)  # noqa: T201  # for who started it
    while True:
        cluster.poll(1)


if __name__ == "__main__":
    main()
