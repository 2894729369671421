"""The dashboards, read and written by Grafana's own models of dashboards, panels and queries.

Grafana itself is in no package. Its models drop what they do not know, so a misspelled option is missing afterwards.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.parts.monitoring import BOARDS

# Keys that Grafana reads but its models lack: of annotations that ask Prometheus, and the text of a variable's query.
UNKNOWN_TO_THE_MODELS = {"step", "textFormat", "titleFormat", "definition"}


def lost(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Yield the places of values in `ours` that `theirs` does not have."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from lost(value, theirs[key], f"{place}.{key}")
            elif key not in UNKNOWN_TO_THE_MODELS:
                yield f"{place}.{key}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{place}[{at}]")
    elif ours != theirs:
        yield place


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_models_keep_everything(name: str) -> None:
    """Every key and value of the file survives a round trip through the models, and an unknown option does not."""
    # Imported here, because the models take half a second and every process of pytest imports all test files.
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415 - half a second for every process
    from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: PLC0415 - imports every model
    from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: PLC0415 - a tenth of a second for each process

    register_default_plugins()

    def there_and_back(board: dict[str, Any]) -> Any:
        return json.loads(JSONEncoder().encode(Dashboard.from_json(board)))

    board = BOARDS[name]
    assert list(lost(board, there_and_back(board))) == []
    wrong = json.loads(json.dumps(board))
    wrong["refreshEvery"] = "10s"
    wrong["panels"][-1]["options"]["colour"] = "value"
    assert set(lost(wrong, there_and_back(wrong))) == {
        ".refreshEvery",
        f".panels[{len(board['panels']) - 1}].options.colour",
    }
