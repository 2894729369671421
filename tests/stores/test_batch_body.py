"""What is sent past botocore's serializer is what it would have sent."""

import json
from typing import Any

import botocore.session
from botocore.hooks import HierarchicalEmitter
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from aggregator.stores.dynamodb.connected_table import encode_parameters, set_body

ATTRIBUTES = st.dictionaries(st.text(), st.dictionaries(st.sampled_from(["S", "N"]), st.text(), min_size=1, max_size=1))
PUT = st.fixed_dictionaries({"PutRequest": st.fixed_dictionaries({"Item": ATTRIBUTES})})
DELETE = st.fixed_dictionaries({"DeleteRequest": st.fixed_dictionaries({"Key": ATTRIBUTES})})

OPERATION = botocore.session.get_session().get_service_model("dynamodb").operation_model("BatchWriteItem")
SERIALIZER = create_serializer(OPERATION.service_model.metadata["protocol"], include_validation=False)  # nor has ours
EVENTS = HierarchicalEmitter()
EVENTS.register("provide-client-params.dynamodb.BatchWriteItem", encode_parameters)
EVENTS.register("before-call.dynamodb.BatchWriteItem", set_body)


@given(requests=st.lists(PUT | DELETE, max_size=25), consumed=st.booleans())
def test_the_body_is_botocores(requests: list[dict[str, Any]], consumed: bool) -> None:  # noqa: FBT001  # Hypothesis
    """Whatever text is in it; the endpoint is found by the same tables, and the rest of the request is as it was."""
    params: dict[str, Any] = {"RequestItems": {"prices": requests}}
    if consumed:
        params["ReturnConsumedCapacity"] = "TOTAL"
    usual = SERIALIZER.serialize_to_request(params, OPERATION)
    context: dict[str, Any] = {}
    ((_, left),) = EVENTS.emit("provide-client-params.dynamodb.BatchWriteItem", params=params, context=context)
    assert left["RequestItems"].keys() == params["RequestItems"].keys()
    ours = SERIALIZER.serialize_to_request(left, OPERATION)
    EVENTS.emit("before-call.dynamodb.BatchWriteItem", params=ours, context=context)
    assert json.loads(ours.pop("body")) == json.loads(usual.pop("body"))
    assert ours == usual
    assert context == {}
