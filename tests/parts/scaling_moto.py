"""moto's server with tags of scalable targets, refreshes of machines, changes of workgroups, and delete markers.

    python -m tests.parts.scaling_moto -H 127.0.0.1 -p 5000

moto answers 500 to calls that it does not know, and Terraform's provider repeats these for the better part of an hour.
"""

import json
import uuid
from collections import defaultdict
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.athena.responses import AthenaResponse
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult
from moto.s3.models import FakeDeleteMarker
from moto.server import main


class Tags:
    """The tags by ARN, and the three operations on them."""

    def __init__(self) -> None:
        self._tags: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def add(self, call: Any) -> str:
        """Add the tags of a call."""
        request = json.loads(call.body)
        self._tags[request["ResourceARN"]].update(request["Tags"])
        return "{}"

    def remove(self, call: Any) -> str:
        """Remove the keys of a call."""
        request = json.loads(call.body)
        for key in request["TagKeys"]:
            self._tags[request["ResourceARN"]].pop(key, None)
        return "{}"

    def listed(self, call: Any) -> str:
        """Return the tags of the resource of a call."""
        return json.dumps({"Tags": self._tags[json.loads(call.body)["ResourceARN"]]})

    def registered(self, call: Any) -> str:
        """Register a target as moto does, with its tags."""
        answer: str = _register(call)
        self._tags[json.loads(answer)["ScalableTargetARN"]].update(json.loads(call.body).get("Tags") or {})
        return answer


def refreshed(_: Any) -> ActionResult:
    """Begin to replace the machines of a group, of which moto has none: only the call is answered."""
    return ActionResult({"InstanceRefreshId": str(uuid.uuid4())})


def changed(_: Any) -> str:
    """Change a workgroup, which moto keeps as it is: only the call is answered."""
    return "{}"


def disposed(_: object) -> None:
    """Free what moto holds of a delete marker: nothing. Without it, DeleteObjects of the last marker is a 500."""


_register = ApplicationAutoScalingResponse.register_scalable_target

if __name__ == "__main__":
    tags = Tags()
    targets, groups = ApplicationAutoScalingResponse, AutoScalingResponse
    operations = (
        (targets, "tag_resource", tags.add),
        (targets, "untag_resource", tags.remove),
        (targets, "list_tags_for_resource", tags.listed),
        (targets, "register_scalable_target", tags.registered),
        (groups, "start_instance_refresh", refreshed),
        (AthenaResponse, "update_work_group", changed),
        (FakeDeleteMarker, "dispose", disposed),
    )
    for kind, name, operation in operations:
        setattr(kind, name, lambda call, done=operation: done(call))
    main()
