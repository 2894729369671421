"""A server that answers as SQS does and keeps nothing, for load: moto takes some ten messages a second here.

`python -m tests.bench.sqs_sink` prints `listening on http://127.0.0.1:PORT`.
"""

import asyncio
import hashlib
import json
import sys

import uvloop
from aiohttp import web


async def handle(request: web.BaseRequest) -> web.Response:
    """Take every message."""
    sent = json.loads(await request.read())
    if request.headers["X-Amz-Target"].endswith("GetQueueUrl"):
        return web.json_response({"QueueUrl": f"http://{request.host}/000000000000/{sent['QueueName']}"})
    taken = [{"Id": one["Id"], "MessageId": one["Id"], "MD5OfMessageBody": _md5(one)} for one in sent["Entries"]]
    return web.json_response({"Successful": taken})


def _md5(entry: dict[str, str]) -> str:
    return hashlib.md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest()


async def main() -> None:
    """Serve until the process is ended."""
    server = web.ServerRunner(web.Server(handle))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    sys.stdout.write(f"listening on http://127.0.0.1:{server.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
