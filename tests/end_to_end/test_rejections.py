"""An exchange with wrong prices, and two that disagree: named in the log, /ready and /sources until it is over."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jsonschema_rs
import pytest

from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Answer, Service
from tests.parts.short_list import INTERVALS, SIZES, SYMBOLS

pytestmark = pytest.mark.real

WELL = "sound again"


@pytest.fixture(scope="module", params=["all", pytest.param("workers", marks=pytest.mark.long)])
def service(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    symbols_file: Path,
    shared_market: Market,
    redis_running: RedisServer,
) -> Iterator[Service]:
    """Run one process, or two workers and a refresher, where the workers know the exchanges from the refresher."""
    settings: dict[str, object] = {"symbols_file": symbols_file, "exchanges": shared_market.setting, "min_sources": 1}
    if request.param == "workers":
        settings |= {"workers": 2, "cache_url": f"{redis_running.url.rpartition('/')[0]}/12"}
    shared_market.sound()
    service = Service(tmp_path_factory.mktemp("service"), **(settings | SIZES | INTERVALS)).filled()
    wait_for(lambda: reasons(service) == [], what=WELL)
    yield service
    assert service.process.stop() == 0, service.process.output
    assert "Traceback" not in service.process.output


def reasons(service: Service) -> list[str]:
    """Return the reasons of /ready."""
    found: list[str] = service.get("/ready").json["reasons"]
    return found


class Log:
    """The log lines that a service writes from now on."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._before = len(service.process.output)

    def said(self, event: str, exchange: str) -> list[str]:
        """Return the lines of one event of one exchange."""
        lines = self._service.process.output[self._before :].splitlines()
        return [line for line in lines if event in line and exchange in line]


def is_said_once(log: Log, event: str, exchange: str) -> bool:
    """Return whether there is one line of this event of this exchange."""
    return len(log.said(event, exchange)) == 1


def check(service: Service, answer: Answer) -> None:
    """Validate the body against the schema in /openapi.json."""
    told = service.get("/openapi.json").json
    content = told["paths"]["/prices/{asset}/sources"]["get"]["responses"][str(answer.status)]["content"]
    schema = content["application/json"]["schema"] | {"components": told["components"]}
    jsonschema_rs.validate(schema, answer.json)


def is_apart(service: Service, name: str) -> bool:
    """Return whether /ready says that this exchange disagrees."""
    return any(one.startswith(f"{name}: its tickers are rejected: disagreement, ") for one in reasons(service))


def test_a_liar_is_named(service: Service, market: Market) -> None:
    """With one exchange at three times all prices, prices go on, and /ready (200) and one log line name it."""
    log = Log(service)
    market.exchanges["exchange3"].faults(price_factor=3)
    reason = f"exchange3: its tickers are rejected: outlier, {len(SYMBOLS)} of {len(SYMBOLS)} assets"
    wait_for(lambda: reason in reasons(service), what=reason)

    def only_it_is_rejected() -> bool:
        ready = service.get("/ready")
        rejected = {name: one["rejected"] for name, one in ready.json["exchanges"].items()}
        liar = str(rejected.pop("exchange3", None))
        return ready.status == 200 and liar.startswith("outlier, ") and set(rejected.values()) == {None}

    wait_for(only_it_is_rejected, what="one rejected exchange")
    wait_for(lambda: service.get("/prices/btcusdt").json["sources"] == 2, what="a price of two exchanges")
    wait_for(lambda: log.said("tickers_rejected", "exchange3") != [], what="it in the log")
    (line,) = log.said("tickers_rejected", "exchange3")
    assert "outlier" in line
    market.sound()
    wait_for(lambda: reasons(service) == [], what=WELL)
    assert len(log.said("tickers_rejected", "exchange3")) == 1
    wait_for(lambda: len(log.said("tickers_accepted", "exchange3")) == 1, what="it in the log again")


def test_two_that_disagree_are_named_and_each_answer_is_shown(service: Service, market: Market) -> None:
    """When two disagree, the last price turns stale and then disappears; /sources shows each exchange's ticker."""
    log = Log(service)
    market.exchanges["exchange2"].faults(price_factor=3)
    # 429 opens no breaker; the recovery at the end would have to wait for an open breaker's cool-down of 30 s.
    market.exchanges["exchange3"].faults(rate_limit=0)

    def has(status: int, field: str) -> bool:
        answer = service.get("/prices/btcusdt/sources")
        return answer.status == status and field in answer.json

    wait_for(lambda: has(200, "no_new_price"), what="a stale price, and why there is no newer one")
    answers: list[Answer] = []

    def all_are_told() -> bool:
        """Return whether each is named with its own reason; on a busy machine, one may be late for an answer."""
        answers.append(service.get("/prices/btcusdt/sources"))
        told = {one["exchange"]: one["reason"] for one in answers[-1].json.get("left_out", [])}
        expected = {"exchange1": "disagreement", "exchange2": "disagreement", "exchange3": "rate_limited"}
        return answers[-1].status == 503 and told == expected

    wait_for(all_are_told, what="no price, and why")
    answer = answers[-1]
    check(service, answer)
    assert answer.headers["retry-after"] == "1"
    left_out = {one["exchange"]: one for one in answer.json["left_out"]}
    assert 2.9 < left_out["exchange2"]["price"] / left_out["exchange1"]["price"] < 3.1
    for name in ("exchange1", "exchange2"):
        wait_for(partial(is_apart, service, name), what=f"{name} in the reasons")
        wait_for(partial(is_said_once, log, "tickers_rejected", name), what=f"{name} in the log")
    market.sound()
    wait_for(lambda: reasons(service) == [], what=WELL)
    for name in ("exchange1", "exchange2"):
        wait_for(partial(is_said_once, log, "tickers_accepted", name), what=f"{name} in the log again")
    check(service, service.get("/prices/btcusdt/sources"))
