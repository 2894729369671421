"""Header fields by name, in whatever case: `Retry-After` and `retry-after` are the same field (RFC 9110)."""

from collections.abc import Iterator, Mapping


class Headers(Mapping[str, str]):
    """The header fields of a recorded answer; what aiohttp returns of a live one is case-insensitive already."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.lower(): value for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
