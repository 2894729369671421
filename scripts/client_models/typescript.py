"""The models of the JavaScript client: interfaces in TypeScript, with the contract's texts as comments."""

from scripts.client_models.names import MODULES
from scripts.client_models.schemas import Field, Json, Kind, fields_of, models_in

_MADE = "// `scripts/client_models` makes this file from /openapi.json. A test checks it."
_TYPES = {"amount": "Amount", "time": "number", "integer": "number"}


def module(document: Json, name: str) -> str:
    """Return the text of a file of interfaces."""
    schemas = MODULES[name]
    used = set().union(*(models_in(one.kind) for schema in schemas for one in fields_of(document, schema)))
    body = "\n".join(_interface(document, schema, model) for schema, model in schemas.items())
    lines = [_MADE]
    if "Amount" in body:
        lines.append('import type { Amount } from "../amount.js";')
    for other, models in sorted(MODULES.items()):
        names = sorted(used & set(models.values()))
        if names and other != name:
            lines.append(f'import type {{ {", ".join(names)} }} from "./{other}.js";')
    return "\n".join(lines) + "\n\n" + body


def index() -> str:
    """Return the text of the file that exports all interfaces."""
    return "\n".join([_MADE, *(f'export type * from "./{name}.js";' for name in sorted(MODULES))]) + "\n"


def _interface(document: Json, schema: str, model: str) -> str:
    text = document["components"]["schemas"][schema].get("description", f"The schema {schema}.")
    fields = [_field(field) for field in fields_of(document, schema)]
    return "\n".join([f"/** {_line(text)} */", f"export interface {model} {{", *fields, "}", ""])


def _field(field: Field) -> str:
    text = f"  /** {_line(field.text)} */\n" if field.text else ""
    null = " | null" if field.kind.nullable else ""
    return f"{text}  {field.name}{'?' if field.optional else ''}: {_type(field.kind)}{null};"


def _type(kind: Kind) -> str:
    if kind.name == "array" and kind.part:
        return f"Array<{_type(kind.part)}>"
    if kind.name == "map" and kind.part:
        return f"Record<string, {_type(kind.part)}>"
    if kind.name == "enum":
        return " | ".join(f'"{value}"' for value in kind.values)
    if kind.name == "time":
        return "string" if kind.values else "number"
    return kind.model or _TYPES.get(kind.name, kind.name)


def _line(text: str) -> str:
    return " ".join(text.split()).replace("*/", "* /")
