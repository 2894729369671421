"""The address of a Kafka topic: `kafka://broker:9092[,broker2:9092]/topic?format=json|protobuf&group=…`. Pure.

| option | values | default |
| --- | --- | --- |
| format | json, protobuf: of records that do not show it themselves | json |
| group | the consumer group | aggregator |
| security | plaintext, tls | plaintext |
| session | seconds (6 to 300) after which a silent processor loses its partitions | 6 |
| rebalance | cooperative, eager: how the group moves partitions | cooperative |

User and password are settings of their own, so that no address has a secret.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs

EXAMPLE = "kafka://broker:9092/topic"
FORM = f"{EXAMPLE}?format=json|protobuf&group=…&security=plaintext|tls"
FORMATS = ("json", "protobuf")
AWS_MSK_IAM = "AWS_MSK_IAM"
"""The mechanism of Amazon MSK, as its documents call it."""
_URL = re.compile(r"kafka://(?P<brokers>[^/?#]+)/(?P<topic>[^/?#]+)(?:\?(?P<query>[^#]*))?")
_BROKER = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>\d{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_CHOICES = {"format": FORMATS, "security": ("plaintext", "tls"), "rebalance": ("cooperative", "eager")}
_OPTIONS = (*_CHOICES, "group", "session")
_LEAST_SESSION, _MOST_SESSION = 6, 300  # seconds; brokers refuse less than 6
_MOST_GROUP = 200  # characters
_MOST_PORT = 65_535


class KafkaAddress(NamedTuple):
    """A topic, and how it is read. `session` is in seconds."""

    brokers: str
    topic: str
    format: str = "json"
    group: str = "aggregator"
    security: str = "plaintext"
    session: int = _LEAST_SESSION
    rebalance: str = "cooperative"


class KafkaSecurity(NamedTuple):
    """The login of clients: with AWS credentials (AWS_MSK_IAM), as a user, or without one none.

    `ca` is a file of authorities; without one, the system's.
    """

    username: str = ""
    password: str = ""
    mechanism: str = "SCRAM-SHA-512"
    ca: str = ""


def parse_kafka_url(url: str) -> KafkaAddress:
    """Return the address that a URL names. Raises ValueError, whose message has no secret of the URL in it."""
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(f"must be {EXAMPLE}")
    if "@" in match["brokers"]:
        raise ValueError("kafka:// takes no user and password; set AGGREGATOR_KAFKA_USERNAME and …_PASSWORD")
    for broker in match["brokers"].split(","):
        found = _BROKER.fullmatch(broker)
        if found is None or not 0 < int(found["port"]) <= _MOST_PORT:
            raise ValueError("each broker of kafka:// must be host:port")
    if not _TOPIC.fullmatch(match["topic"]) or match["topic"] in (".", ".."):
        raise ValueError("the topic of kafka:// must have 1 to 249 letters, digits, dots, dashes and underscores")
    return KafkaAddress(match["brokers"], match["topic"], **_options(match["query"] or ""))  # type: ignore[arg-type]  # each by its name


def _options(query: str) -> Mapping[str, str | int]:
    given = parse_qs(query, keep_blank_values=True)
    unknown = given.keys() - set(_OPTIONS)
    if unknown:
        raise ValueError(f"kafka:// takes {', '.join(_OPTIONS)}, not {', '.join(map(repr, sorted(unknown)))}")
    if twice := [name for name, values in given.items() if len(values) > 1]:
        raise ValueError(f"kafka:// takes {twice[0]} once")
    options: dict[str, str | int] = {name: values[0] for name, values in given.items()}
    for name, choices in _CHOICES.items():
        if options.get(name, choices[0]) not in choices:
            raise ValueError(f"{name} of kafka:// must be {' or '.join(choices)}")
    group = str(options.get("group", "aggregator"))
    if not 0 < len(group) <= _MOST_GROUP or not group.isprintable():
        raise ValueError(f"group of kafka:// must have 1 to {_MOST_GROUP} printable characters")
    if "session" in options:
        options["session"] = _session(str(options["session"]))
    return options


def _session(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not _LEAST_SESSION <= int(text[:9]) <= _MOST_SESSION:
        raise ValueError(f"session of kafka:// must be {_LEAST_SESSION} to {_MOST_SESSION} whole seconds")
    return int(text)
