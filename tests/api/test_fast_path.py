"""The setting fast_path, on the running service."""

from pathlib import Path

import pytest

from tests.parts import short_list
from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.service import Service

PATH = "/prices/btcusdt"


@pytest.mark.real
@pytest.mark.parametrize(
    ("flags", "settings", "is_fast"),
    [((), {}, True), ((), {"fast_path": "false"}, False), (("--fast-path", "false"), {"fast_path": "true"}, False)],
    ids=["default", "variable", "flag"],
)
def test_reads_without_the_fast_path(
    flags: tuple[str, ...], settings: dict[str, str], tmp_path: Path, market: Market, *, is_fast: bool
) -> None:
    """Starlette gives every answer a request id, the fast path none; otherwise answers and metrics are the same."""
    chosen = {"exchanges": market.setting, "symbols_file": short_list.write_symbols(tmp_path)} | settings
    service = Service(tmp_path, "serve", *flags, **chosen).started()
    wait_for(lambda: service.get(PATH).status == 200)
    counted = 'price_api_requests_total{endpoint="/prices",status="%d"}'
    before = service.metric(counted % 200), service.metric(counted % 304)
    answer = service.get(PATH)
    unchanged = service.get(PATH, {"If-None-Match": "*"})
    after = service.metric(counted % 200), service.metric(counted % 304)
    assert (answer.status, answer.json["asset"], unchanged.status) == (200, "btcusdt", 304)
    assert set(answer.headers) - {"connection", "x-request-id"} == {
        "cache-control",
        "content-length",
        "content-type",
        "date",
        "etag",
        "x-content-type-options",
    }
    assert [("x-request-id" in one.headers) for one in (answer, unchanged)] == [not is_fast] * 2
    assert after == (before[0] + 1, before[1] + 1)
    assert service.process.stop() == 0
