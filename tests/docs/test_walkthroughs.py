"""The modules in CONTRIBUTING.md work: they are loaded under the names that they have there, and tested."""

import asyncio
import inspect
import re
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import ModuleType

import pytest

from aggregator.exchanges.http import session
from aggregator.models import Ticker
from aggregator.stores.registry import HISTORIES
from tests.exchanges.polled import ASSETS, Scene
from tests.exchanges.venues.base import QUOTES, running
from tests.parts.examples import NOW
from tests.parts.process import ROOT
from tests.stores import test_contract

MODULES = re.findall(
    r"^```python\n# (\S+)\.py\n(.*?)^```",
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
CONTRACT = [
    test
    for name, test in vars(test_contract).items()
    if name.startswith("test_") and [*inspect.signature(test).parameters] in (["store"], ["history"])
]


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    """Load each module in the order of the document; return them by the last part of their names."""
    loaded: dict[str, ModuleType] = {}
    with pytest.MonkeyPatch.context() as patch:
        for path, text in MODULES:
            name = path.replace("/", ".")
            module = ModuleType(name)
            patch.setitem(sys.modules, name, module)
            exec(compile(text, path, "exec"), module.__dict__)  # noqa: S102  # it is our own document
            loaded[name] = module
        yield loaded


def test_every_walkthrough_has_modules() -> None:
    """A document without them would pass."""
    kinds = [path.rpartition("/")[0] for path, _ in MODULES]
    assert {
        "aggregator/exchanges/venues",
        "aggregator/stores",
        "aggregator/api/prices",
        "aggregator/live",
        "aggregator/outlets/receivers",
    } <= set(kinds)


async def test_the_venue_is_polled(modules: dict[str, ModuleType]) -> None:
    """The real client gets every digit from the walkthrough's local server."""
    server = modules["tests.exchanges.venues.acme"].AcmeVenue(now=lambda: NOW)
    dialect = modules["aggregator.exchanges.venues.acme"].Acme()
    async with session(2) as http, running(server) as venue:
        scene = Scene("acme", venue, http, dialect)
        assert await scene.exchange.read_listing() is None
        answers = await scene.ask(*ASSETS)
    for quote in QUOTES:
        ticker = answers[quote.symbol]
        assert isinstance(ticker, Ticker), ticker
        assert (ticker.price, ticker.volume) == (Decimal(quote.price), Decimal(quote.volume))


@pytest.mark.parametrize("test", CONTRACT, ids=lambda test: str(test.__name__))
async def test_the_history_keeps_the_contract(modules: dict[str, ModuleType], test: Callable[..., object]) -> None:
    """Each promise of a store that needs no other fixture."""
    store = modules["aggregator.stores.volatile"].VolatileHistory(time.time)
    outcome = test(store)
    assert asyncio.iscoroutine(outcome)
    await outcome
    assert "volatile" not in HISTORIES


@pytest.mark.parametrize("name", [path.replace("/", ".") for path, _ in MODULES if "/test_" in path])
async def test_the_tests_pass(modules: dict[str, ModuleType], name: str) -> None:
    """Those of the route, of the analytics and of the outlet."""
    tests = [one for key, one in vars(modules[name]).items() if key.startswith("test_")]
    assert tests
    for test in tests:
        outcome = test()
        if asyncio.iscoroutine(outcome):
            await outcome
