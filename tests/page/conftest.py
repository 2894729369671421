"""Chromium, the service with all thousand assets or with seven, and tabs that fail the test on any complaint."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.parts.browser import DESKTOP, Tab
from tests.parts.exchanges import Market
from tests.parts.service import Service
from tests.parts.short_list import INTERVALS, SIZES, write_symbols

Open = Callable[..., Tab]


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with all thousand assets, the hot ones every second."""
    shared_market.sound()
    intervals = {"hot_interval": 1, "medium_interval": 10, "cold_interval": 100}
    running = Service(tmp_path_factory.mktemp("service"), exchanges=shared_market.setting, **intervals)
    yield running.filled()
    assert running.process.stop() == 0, running.process.output
    assert "Traceback" not in running.process.output


@contextmanager
def seven_assets(folder: Path, market: Market, *, with_sides: bool = False) -> Iterator[Service]:
    """Run the service with seven assets, and without trades."""
    market.sound()
    settings = {"symbols_file": write_symbols(folder, with_sides=with_sides), **SIZES, **INTERVALS}
    running = Service(folder, exchanges=market.setting, **settings)
    yield running.filled()
    assert running.process.stop() == 0, running.process.output


@pytest.fixture(scope="module")
def small_service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with seven assets, which starts quickly."""
    with seven_assets(tmp_path_factory.mktemp("service"), shared_market) as running:
        yield running


@pytest.fixture
def tab(chromium: Browser, service: Service) -> Iterator[Open]:
    """Return a function that opens a tab; at the end no tab may have complaints or requests to other hosts."""
    tabs = []

    def opened(path: str = "/", size: tuple[int, int] = DESKTOP, **more: object) -> Tab:
        one = Tab(chromium, service.url, size, **more)
        tabs.append(one)
        one.open(path)
        return one

    yield opened
    for one in tabs:
        one.close()
    assert [complaint for one in tabs for complaint in one.complaints] == []
