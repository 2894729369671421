"""The models of the Python client: structs of msgspec, with the contract's texts as docstrings."""

import re
import textwrap

from scripts.client_models.names import MODULES
from scripts.client_models.schemas import NAMES, Field, Json, Kind, fields_of, models_in

_MADE = "`scripts/client_models` makes this module from /openapi.json. A test checks it."
_TYPES = {
    "amount": "Decimal",
    "time": "datetime",
    "integer": "int",
    "number": "float",
    "string": "str",
    "boolean": "bool",
    "enum": "str",
}
_WIDTH = 110


def module(document: Json, name: str) -> str:
    """Return the text of a module of models."""
    classes = [_class(document, schema, model) for schema, model in MODULES[name].items()]
    body = "\n\n".join(classes)
    used = set().union(*(models_in(one.kind) for schema in MODULES[name] for one in fields_of(document, schema)))
    others = sorted((other, sorted(used & set(models.values()))) for other, models in MODULES.items() if other != name)
    lines = [f'"""The answers about {name}.\n\n{_MADE}\n"""\n']
    if "datetime" in body:
        lines.append("from datetime import datetime")
    if "Decimal" in body:
        lines.append("from decimal import Decimal")
    lines.append("\nimport msgspec\n")
    lines += [
        f"from rt_price_aggregator_client.models.{other} import {', '.join(names)}\n"
        for other, names in others
        if names
    ]
    return "\n".join(lines) + "\n\n" + body


def _class(document: Json, schema: str, model: str) -> str:
    text = document["components"]["schemas"][schema].get("description", f"The schema {schema}")
    lines = [
        f"class {model}(msgspec.Struct, frozen=True, kw_only=True):",
        _docstring(text),
        "",
    ]
    for field in fields_of(document, schema):
        lines += _field(field)
    return "\n".join(lines) + "\n"


def _field(field: Field) -> list[str]:
    nullable = field.kind.nullable or field.optional
    lines = [
        f"    {field.name}: {_type(field.kind)}{' | None' if nullable else ''}{' = None' if field.optional else ''}"
    ]
    text = _python_text(field)
    return [*lines, _docstring(text)] if text else lines


def _type(kind: Kind) -> str:
    if kind.name == "array" and kind.part:
        return f"list[{_type(kind.part)}]"
    if kind.name == "map" and kind.part:
        return f"dict[str, {_type(kind.part)}]"
    return kind.model or _TYPES[kind.name]


def _python_text(field: Field) -> str:
    """Return the text of a field, without the form of times, and with the values of an enum."""
    text = field.text
    if field.kind.name == "time":
        text = "" if field.kind.values else re.sub(r"Unix seconds\.? ?", "", text).strip()
    if field.kind.name == "enum":
        text = f"{text.rstrip('.')}. " if text else ""
        text += "One of: " + ", ".join(field.kind.values)
    return text


def _docstring(text: str) -> str:
    """Return the text as a docstring whose first line is a sentence, or the part of one before a colon or semicolon."""
    text = " ".join(text.split()).replace("\\", "\\\\")
    text = text if text.endswith((".", ":")) else f"{text}."
    text = text[0].upper() + text[1:]
    first, _, rest = text.partition(". ")
    if len(first) > _WIDTH:
        first, second = re.split("[;:] ", first, maxsplit=1)
        rest = f"{second[0].upper()}{second[1:]}{'. ' if rest else ''}{rest}"
    if not rest:
        return f'    """{text}"""'
    return textwrap.indent(f'"""{first}.\n\n' + "\n".join(textwrap.wrap(rest, _WIDTH)) + '\n"""', "    ")


def package() -> str:
    """Return the text of the package of models, which exports them all."""
    lines = [f'"""The answers of the service as structs, named in the README.\n\n{_MADE}\n"""\n']
    lines += [
        f"from rt_price_aggregator_client.models.{name} import {', '.join(sorted(models.values()))}"
        for name, models in sorted(MODULES.items())
    ]
    names = ", ".join(f'"{name}"' for name in sorted(set(NAMES.values())))
    return "\n".join(lines) + f"\n\n__all__ = [{names},]\n"
