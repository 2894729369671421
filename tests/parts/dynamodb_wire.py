"""The wire format of DynamoDB's requests, responses and errors."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

HOP_BY_HOP = frozenset(("connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"))
OF_THE_SERVER = HOP_BY_HOP | {"date", "server"}
AMAZON_JSON = "application/x-amz-json-1.0"

_AMAZON = "com.amazonaws.dynamodb.v20120810#"
THROTTLED = (f"{_AMAZON}ProvisionedThroughputExceededException", "The level of configured throughput was exceeded.")
BROKEN = (f"{_AMAZON}InternalServerError", "The request processing has failed because of an unknown error.")
REFUSED = ("com.amazon.coral.validate#ValidationException", "One or more parameter values were invalid")


def assets_of(sent: Mapping[str, Any]) -> list[str]:
    """Return the `asset` of every item that a PutItem or BatchWriteItem wants to put."""
    puts = [request.get("PutRequest", {}) for requests in sent.get("RequestItems", {}).values() for request in requests]
    return [put["Item"].get("asset", {}).get("S", "") for put in (*puts, sent) if "Item" in put]


def split_in_half(requests: Mapping[str, list[Any]]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Split each table's requests into a first half to write and a rest; a single request has no rest."""
    middle = {table: (len(puts) + 1) // 2 for table, puts in requests.items()}
    taken = {table: puts[: middle[table]] for table, puts in requests.items()}
    return taken, {table: puts[middle[table] :] for table, puts in requests.items() if len(puts) > 1}


def without_headers(names: frozenset[str], headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers without those named."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in names)


def access_denied(operation: str) -> tuple[str, str]:
    """Return the error type and message for a caller without the right to an operation."""
    why = f"User: arn:aws:iam::111122223333:user/one is not authorized to perform: dynamodb:{operation}"
    return ("com.amazon.coral.service#AccessDeniedException", why)


def error_response(status: int, kind: str, message: str) -> web.Response:
    """Return an error response in DynamoDB's format."""
    return dynamodb_response(status, {"__type": kind, "message": message}, {"Content-Type": AMAZON_JSON})


def dynamodb_response(status: int, said: object, headers: Mapping[str, str]) -> web.Response:
    """Return a response with the CRC32 of its body, which botocore verifies."""
    body = json.dumps(said).encode()
    answer = web.Response(body=body, status=status, headers=without_headers(OF_THE_SERVER, headers))
    answer.headers["x-amz-crc32"] = str(zlib.crc32(body))
    return answer


def reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection; the returned response is never sent, but aiohttp needs one."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
