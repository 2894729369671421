"""CSV for clients whose Accept header contains text/csv."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from aggregator.api.responses import NO_STORE

Row = dict[str, object]


def wants_csv(request: Request) -> bool:
    """Whether the client asks for CSV."""
    return "text/csv" in request.headers.get("accept", "").lower()


def csv_response(columns: Sequence[str], rows: Iterable[Row], headers: Mapping[str, str]) -> Response:
    """Return the rows as a CSV response."""
    return Response(csv_text(columns, rows), headers=NO_STORE | dict(headers), media_type="text/csv")


def csv_text(columns: Sequence[str], rows: Iterable[Row], *, header: bool = True) -> str:
    """Return the rows as CSV, with the names of the columns unless `header` is false."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return the value as CSV shows it: true and false are written as in JSON."""
    return str(value).lower() if isinstance(value, bool) else value
