"""moto's server with tags of scalable targets: `python -m tests.parts.scaling_moto -H 127.0.0.1 -p 5000`.

Without the call that reads them, moto answers 500, and Terraform's provider repeats it for the better part of an hour.
"""

import json
from collections import defaultdict
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
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


_register = ApplicationAutoScalingResponse.register_scalable_target

if __name__ == "__main__":
    tags = Tags()
    operations = {
        "tag_resource": tags.add,
        "untag_resource": tags.remove,
        "list_tags_for_resource": tags.listed,
        "register_scalable_target": tags.registered,
    }
    for name, operation in operations.items():
        setattr(ApplicationAutoScalingResponse, name, lambda call, done=operation: done(call))
    main()
