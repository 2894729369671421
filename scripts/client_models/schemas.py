"""A schema of /openapi.json as the languages need it: its fields with kind, optionality and text."""

from typing import Any, NamedTuple

from scripts.client_models.names import MODULES, SAME_AS, TIMES

Json = dict[str, Any]
NAMES = {schema: name for module in MODULES.values() for schema, name in module.items()}
NAMES |= {schema: NAMES[same] for schema, same in SAME_AS.items()}
_AMOUNT = ["number", "string"]


class Kind(NamedTuple):
    """The type of a value.

    `name` is `amount`, `time`, `integer`, `number`, `string`, `boolean`, `enum`, `array`, `map` or `model`. `part` is
    the kind of an array's or a map's values, `model` the name of a model, `values` those of an enum.
    """

    name: str
    nullable: bool = False
    part: "Kind | None" = None
    model: str = ""
    values: tuple[str, ...] = ()


class Field(NamedTuple):
    """A field of a schema. An optional one may be absent."""

    name: str
    kind: Kind
    optional: bool
    text: str


def fields_of(document: Json, schema: str) -> list[Field]:
    """Return the fields of a schema, in its order."""
    found = document["components"]["schemas"][schema]
    required = found.get("required", [])
    return [
        Field(name, _kind(document, name, part), name not in required, part.get("description", ""))
        for name, part in found["properties"].items()
    ]


def models_in(kind: Kind) -> set[str]:
    """Return the names of the models that a value contains."""
    return ({kind.model} if kind.model else set()) | (models_in(kind.part) if kind.part else set())


def _kind(document: Json, name: str, part: Json) -> Kind:
    if "$ref" in part:
        schema = part["$ref"].rpartition("/")[2]
        target = document["components"]["schemas"][schema]
        return _kind(document, name, target) if "enum" in target else Kind("model", model=NAMES[schema])
    if "anyOf" in part:
        (value,) = [one for one in part["anyOf"] if one != {"type": "null"}]
        return _kind(document, name, value)._replace(nullable=True)
    if part.get("type") == "array":
        return Kind("array", part=_kind(document, name, part["items"]))
    if part.get("type") == "object":
        return Kind("map", part=_kind(document, "", part["additionalProperties"]))
    return _plain(name, part)


def _plain(name: str, part: Json) -> Kind:
    if "enum" in part:
        return Kind("enum", values=tuple(part["enum"]))
    if part["type"] == _AMOUNT:
        return Kind("amount")
    if part.get("format") == "date-time":
        return Kind("time", values=("rfc3339",))
    return Kind("time" if part["type"] == "number" and name in TIMES else part["type"])
