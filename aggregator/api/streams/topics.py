"""The topics that a stream is asked for, and their description in the OpenAPI document."""

from collections.abc import Collection, Mapping, Sequence

from aggregator.api.prices.schema import PRICE
from aggregator.api.routing.description import Content, Json, Parameter, query_list
from aggregator.live.fanout import NOT_KEPT
from aggregator.live.topics import AnyTopic
from aggregator.models import encode

Topics = Mapping[str, AnyTopic]  # by name; the first is the one that streams send unless they are asked for others

_EXAMPLES = (
    {"id": "5f1c09ab-41", "event": "snapshot", "data": encode({"prices": [PRICE]}).decode()},
    {"id": "5f1c09ab-42", "event": "price", "data": encode(PRICE).decode()},
    {"event": "gap", "data": encode({"msg": NOT_KEPT.format("prices")}).decode()},
)


def default_topics(topics: Topics) -> Sequence[str]:
    """Return the names of the topics of a stream that names none."""
    return [*topics][:1]


def are_topics(names: Collection[str], topics: Topics) -> bool:
    """Whether these are names of topics, at least one."""
    return bool(names) and topics.keys() >= set(names)


def unknown_topics(topics: Topics) -> str:
    """Return the message to a client that names something else than topics."""
    return f"topics must be some of {','.join(topics)}"


def written(parts: Sequence[tuple[str, bytes]], topics: Topics, *, with_strings: bool) -> Sequence[tuple[str, bytes]]:
    """Return the parts of a snapshot, with decimals as strings if the client asks for them."""
    return [(topic, topics[topic].with_strings(part)) for topic, part in parts] if with_strings else parts


def topic_parameter(topics: Topics) -> Parameter:
    """Return the description of `topics` in a query string."""
    return query_list(
        "topics",
        f"Only these topics. Without it, {default_topics(topics)[0]}",
        {"type": "array", "items": {"type": "string", "enum": [*topics]}, "minItems": 1},
        default_topics(topics),
    )


def events_of(topics: Topics) -> Content:
    """Return the description of the Server-Sent Events of these topics."""
    bodies = [{"$ref": f"#/components/schemas/{topic.shown.__name__}"} for topic in topics.values()]
    others = {"type": "object", "description": "The data of `snapshot`, `gap` and `end`"}
    schema: Json = {
        "type": "object",
        "description": "The fields of one event",
        "required": ["event", "data"],
        "properties": {
            "event": {
                "type": "string",
                "enum": ["snapshot", *(topic.event for topic in topics.values()), "gap", "end"],
            },
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"anyOf": [*bodies, others]},
            },
            "id": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9]+$"},
        },
    }
    return Content("text/event-stream", schema, _EXAMPLES, tuple(topic.shown for topic in topics.values()))
