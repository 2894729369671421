"""News in the service as a process: from a source's headline and a trade to the joined event; sources that are down."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service, call, refusal

pytestmark = pytest.mark.real

HEADLINE = "Bitcoin soars to a record as investors celebrate a great success"


class Wire:
    """A source of news on its own port. `articles` are what it answers, or bytes that are no JSON."""

    def __init__(self) -> None:
        self.articles: list[dict[str, Any]] | bytes = []
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent = wire.articles
                body = sent if isinstance(sent, bytes) else json.dumps({"articles": sent}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def publish(self, id_: str, published_at: float) -> None:
        """Add an article about Bitcoin."""
        assert isinstance(self.articles, list)
        url = "https://example.com/1"
        self.articles = [
            *self.articles,
            {"id": id_, "headline": HEADLINE, "url": url, "published_at": published_at, "symbols": ["btcusdt"]},
        ]


@contextmanager
def wire() -> Iterator[Wire]:
    """Serve news while the block runs."""
    one = Wire()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        thread.join()
        one.server.server_close()


def ingest(service: Service, volumes: list[float], begin: float) -> None:
    """Send trades of Bitcoin, a millisecond apart."""
    trades = [
        {"asset": "btcusdt", "price": 100, "volume": volume, "timestamp": begin + at / 1000, "id": f"{begin}-{at}"}
        for at, volume in enumerate(volumes)
    ]
    body = json.dumps([one | {"venue": "exchange1"} for one in trades]).encode()
    answer = call("POST", f"{service.url}/ingest", {"Content-Type": "application/json"}, body)
    assert answer.json["accepted"] == len(volumes)


def strengths(service: Service) -> dict[str, str]:
    """Return the strength of each article about Bitcoin."""
    answer = service.get("/sentiment/btcusdt")
    assert answer.status == 200, answer.text
    return {one["id"]: one["correlation_strength"] for one in answer.json["items"]}


def started(folder: Path, **settings: object) -> Service:
    """Start the service with two assets, and exchanges that are not there."""
    (folder / "symbols.csv").write_text("symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n")
    exchanges = "exchange1=mock+http://127.0.0.1:1,exchange2=mock+http://127.0.0.1:2"
    return Service(folder, symbols_file=folder / "symbols.csv", exchanges=exchanges, **settings).started()


def test_a_headline_is_joined_within_a_second(tmp_path: Path) -> None:
    """From its publication by the source to its event, and from a trade that comes later to the next event."""
    with wire() as source:
        service = started(tmp_path, news=f"mock+{source.url}")
        source.publish("first", round(time.time(), 3))
        wait_for(lambda: strengths(service) == {"mock:first": "none"})
        begun = time.monotonic()
        ingest(service, [10, 11, 12, 13, 14, 15, 16, 90], time.time() - 1)
        wait_for(lambda: strengths(service) == {"mock:first": "strong"})
        seconds = [time.monotonic() - begun]
        for number in range(5):
            time.sleep(0.11 * number)  # at different moments between two calls of the source
            begun = time.monotonic()
            source.publish(str(number), round(time.time(), 3))
            wait_for(lambda id_=f"mock:{number}": strengths(service).get(id_) == "strong")  # type: ignore[misc]  # its default is a str
            seconds.append(time.monotonic() - begun)
        assert max(seconds) < allowed(1), seconds
        summary = service.get("/sentiment/btcusdt?hours=1").json["summary"]
        assert summary == {"positive": 6, "negative": 0, "neutral": 0, "strong_correlations": 6}
        events = call("GET", f"{service.url}/stream?topics=sentiment&assets=btcusdt&seconds=1").text
        assert events.count('"correlation_strength":"strong"') == 6
        assert service.process.stop() == 0


def test_a_source_that_sends_garbage_changes_nothing_else(tmp_path: Path) -> None:
    """Trades are taken and features are answered; the log has one line at the begin and one at the end."""
    with wire() as source:
        source.articles = b"[" * 1_000_000
        service = started(tmp_path, news=f"mock+{source.url}")
        series = 'news_source_errors_total{reason="undecodable",source="mock"}'
        wait_for(lambda: service.metric(series) >= 3)
        ingest(service, [1, 2, 3], time.time() - 1)
        assert service.get("/features/btcusdt").json["trade_frequency"] == 3
        assert service.get("/sentiment/btcusdt").json["count"] == 0
        source.articles = []
        service.process.wait_for_line("news_source_answers_again.*source=mock")
        assert service.process.output.count("news_source_failed") == 1
        assert service.process.stop() == 0


def test_a_feed_is_parsed_beside_the_service(tmp_path: Path) -> None:
    """Its articles are matched, scored and stored."""
    item = f"<item><guid>1</guid><title>{HEADLINE}</title><pubDate>{formatdate(time.time() - 60)}</pubDate></item>"
    with wire() as source:
        source.articles = f'<rss version="2.0"><channel><title>News</title>{item}</channel></rss>'.encode()
        service = started(tmp_path, news=f"rss+{source.url}/feed")
        wait_for(lambda: [*strengths(service).values()] == ["none"])
        assert service.metric('news_articles_total{outcome="new",source="rss:127.0.0.1"}') == 1
        assert service.process.stop() == 0


def test_without_sources(tmp_path: Path) -> None:
    """A service without sources has no headlines."""
    service = started(tmp_path)
    assert strengths(service) == {}
    assert service.process.stop() == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"news": "nosuch"}, "each source must be mock"),
        ({"news": "finnhub"}, "finnhub_key"),
        ({"news": "rss+ftp://user:secret@example.com/"}, "no http:// or https:// address"),
        ({"news": "mock", "exchanges": "binance,kraken"}, "AGGREGATOR_EXCHANGES no mock exchange"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, str], message: str, tmp_path: Path) -> None:
    """They are refused at the start, with one line."""
    assert message in refusal(tmp_path, 2 if "exchanges" not in settings else 1, **settings)
