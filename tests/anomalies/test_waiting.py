"""Samples that wait for the worker."""

from array import array

import msgspec

from aggregator.anomalies.sample import SIZE, sample_of
from aggregator.anomalies.waiting import CHUNK, MOST, Waiting
from tests.anomalies.parts import START, measured


def test_what_a_sample_has() -> None:
    """The deviation from the VWAP is a share of the price."""
    one = measured(1)
    features = one.features
    deviation = features.vwap_deviation
    assert deviation is not None
    price, volume = float(one.trade.price), float(one.trade.volume or 0)
    expected = (price, volume, features.volume_zscore, features.price_momentum, deviation / price)
    assert sample_of(one) == (*expected, features.trade_frequency)


def test_trades_with_unknown_features_are_left_out() -> None:
    """Such as the first ones of an asset."""
    one, waiting = measured(1), Waiting()
    for name in ("volume_zscore", "price_momentum", "vwap_deviation"):
        less = msgspec.structs.replace(one, features=msgspec.structs.replace(one.features, **{name: None}))
        assert waiting.add([less]) == 0
    assert len(waiting) == 0
    assert not waiting.has_changes


def test_a_chunk_is_what_came() -> None:
    """Numbers, times and samples of each trade, in their order."""
    waiting = Waiting()
    waiting.add([measured(1, "a"), measured(2, "b", live=False), measured(3, "a")])
    chunk = waiting.take()
    batch = chunk.batch(waiting.names)
    assert batch.names == ["a", "b"]
    assert array("I", batch.assets).tolist() == [0, 1, 0]
    assert array("d", batch.times).tolist() == [START + 1, START + 2, START + 3]
    assert list(batch.live) == [True, False, True]
    first = sample_of(measured(1, "a"))
    assert first is not None
    assert array("f", batch.samples)[:SIZE] == array("f", first)
    assert [trade.id for trade in chunk.trades] == ["1", "2", "3"]
    assert len(waiting) == 0


def test_changes_keep_their_place_among_the_samples() -> None:
    """Samples that came before a change are sent before it."""
    waiting = Waiting()
    waiting.load(["a", "b"])
    waiting.forget("b")
    waiting.add([measured(1, "a")])
    waiting.forget("a")
    waiting.load(["a"])
    first, second = waiting.take(), waiting.take()
    assert (first.forget, first.load, len(first.trades)) == ({1}, {0}, 1)
    assert (second.forget, second.load, len(second.trades)) == ({0}, {0}, 0)
    assert not waiting.has_changes


def test_the_oldest_are_dropped_and_changes_are_not() -> None:
    """While the worker is away."""
    waiting, one = Waiting(), measured(1, "a")
    waiting.load(["b"])
    dropped = sum(waiting.add([one] * 512) for _ in range(MOST // 512 + 3))
    assert 0 < dropped <= CHUNK
    assert len(waiting) <= MOST
    first = waiting.take()
    assert first.load == {waiting.number("b")}
    waiting.forget("b")
    assert len(first.trades) + len(waiting) + dropped == 512 * (MOST // 512 + 3)
