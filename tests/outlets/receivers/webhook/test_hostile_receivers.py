"""A receiver that hangs, sends too much or sends garbage costs a bounded time, and no events."""

import pytest

from aggregator.outlets.ports import DELIVERED, OutletAway, Verdict
from tests.outlets.receivers.webhook.receiving import endless, events, hanging, receiving, slow, status
from tests.parts.site import Handler, reply

_OK = b"HTTP/1.1 200 OK\r\n"
_LONG = b"Content-Length: 1000000000\r\n\r\n"

NO_ANSWER: dict[str, bytes | Handler] = {
    "hangs": hanging(),
    "slow head": slow(_OK, 0.05),
    "hangs in the head": hanging(_OK + b"X: "),
    "interim answers": endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50),
    "endless headers": endless(_OK, b"X: y\r\n" * 500),
    "endless header": endless(_OK + b"X: ", b"x" * 4096),
    "garbage": b"\x00\xff\x16\x03 garbage \r\n\r\n" * 10,
    "not a status": b"HTTP/1.1 OK 200\r\n\r\n",
    "status 0": b"HTTP/1.1 000 \r\n\r\n",
    "two lengths": _OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "broken chunks": _OK + b"Transfer-Encoding: chunked\r\n\r\nrubbish\r\n",
    "closes at once": b"",
    "closes in the head": _OK + b"Conten",
}
ANSWERS: dict[str, tuple[bytes | Handler, Verdict]] = {
    "slow body": (slow(_OK + _LONG + b"x" * 1000, 0.01), Verdict.DELIVERED),
    "no body after its length": (hanging(_OK + _LONG), Verdict.DELIVERED),
    "endless body": (endless(_OK + _LONG, b"x" * 65536), Verdict.DELIVERED),
    "endless chunks": (endless(_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000), Verdict.DELIVERED),
    "packed body": (_OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx", Verdict.DELIVERED),
    "closes in the body": (_OK + _LONG + b"x", Verdict.DELIVERED),
    "redirect of a megabyte": (
        reply(b"x" * 1_000_000, "302 Found", Location="http://169.254.169.254/"),
        Verdict.REFUSED,
    ),
    "redirect to nowhere": (status("307 Temporary Redirect", Location="\\\\:::"), Verdict.REFUSED),
}


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_no_answer_is_tried_again(name: str) -> None:
    """The delivery fails within its time, and whether the receiver took it is not known."""
    async with receiving(NO_ANSWER[name], total=0.4) as (webhook, _):
        with pytest.raises(OutletAway) as caught:
            await webhook.send(events())
    assert caught.value.is_unsure
    assert "127.0.0.1: " in str(caught.value)


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_status_counts_whatever_the_body_is(name: str) -> None:
    """The body is not read beyond a limit of bytes and of time."""
    answer, verdict = ANSWERS[name]
    async with receiving(answer) as (webhook, receiver):
        assert [one.verdict for one in await webhook.send(events())] == [verdict] * 2
    assert len(receiver.requests) == 1


async def test_a_receiver_that_is_away_has_taken_nothing() -> None:
    """A refused connection leaves no doubt."""
    async with receiving(b"") as (webhook, receiver):
        receiver.answers["/hook"] = status("200 OK")
        assert await webhook.send(events()) == [DELIVERED] * 2
        receiver.server.close()
        await receiver.server.wait_closed()
        with pytest.raises(OutletAway, match="connection refused") as caught:
            await webhook.send(events())
    assert not caught.value.is_unsure
