"""Encodes the body of BatchWriteItem in one call instead of by botocore's model, attribute by attribute.

That saves a tenth of the CPU time of a refreshed price. Our parameters hold only strings, so their JSON is the body.
There are two steps, each a handler of a botocore event: before botocore serializes the parameters, the first encodes
them and leaves nearly nothing to serialize; before the request is sent, the second sets the body.
"""

from typing import Any

import msgspec

_BODY = "aggregator.body"  # key in the context that botocore keeps for each request


def encode_batches_in_one_call(client: Any) -> None:  # aioboto3 has no types
    """Register the handlers with a DynamoDB client. Parameters and answers of its calls do not change."""
    client.meta.events.register("provide-client-params.dynamodb.BatchWriteItem", _encode_parameters)
    client.meta.events.register("before-call.dynamodb.BatchWriteItem", _set_body)


def _encode_parameters(params: dict[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    """Keep the encoded parameters; return only the table names, from which botocore derives the endpoint."""
    context[_BODY] = msgspec.json.encode(params)
    return {"RequestItems": {table: [] for table in params["RequestItems"]}}


def _set_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    params["body"] = context.pop(_BODY)
