#!/usr/bin/env python3
"""Write the columns of the archive's datasets, as types of Athena, for Terraform. Run it with .venv/bin/python."""

import json
from collections.abc import Mapping
from pathlib import Path

from aggregator.archive.datasets import DATASETS, DECIMAL, TIME

FILE = Path(__file__).parents[1] / "terraform/modules/lake/columns.json"
# Athena reads times of Parquet in UTC.
TYPES = {
    "VARCHAR": "string",
    DECIMAL: "decimal(38,18)",
    TIME: "timestamp",
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "DOUBLE": "double",
    "DOUBLE[]": "array<double>",
}


def columns() -> str:
    """Return the content of the file: the columns of each dataset in order, one in a line."""
    tables = (f"  {json.dumps(name)}: [\n{_listed(one.columns)}\n  ]" for name, one in DATASETS.items())
    return "{\n" + ",\n".join(tables) + "\n}\n"


def _listed(kinds: Mapping[str, str]) -> str:
    return ",\n".join(f"    {json.dumps({'name': name, 'type': TYPES[kind]})}" for name, kind in kinds.items())


if __name__ == "__main__":
    FILE.write_text(columns(), encoding="utf-8")
