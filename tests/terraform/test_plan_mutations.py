"""Each rule about the deployment can fail: the plan with one mistake in it breaks the rule."""

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import pytest

from tests.parts.terraform import Plan, short_address
from tests.terraform import test_plan as whole
from tests.terraform import test_plan_groups as groups
from tests.terraform import test_plan_stream as stream

pytestmark = pytest.mark.real

Values = dict[str, Any]
Edit = Callable[[Values], object]
Rule = Callable[[Plan], None]


def _all(module: Values) -> Iterable[tuple[list[Values], Values]]:
    for one in list(module.get("resources", ())):
        yield module["resources"], one
    for child in module.get("child_modules", ()):
        yield from _all(child)


class Mistake:
    """A change of the resources of a type, or of those of one short address; without an edit they are removed."""

    def __init__(self, rule: Rule, kind: str, edit: Edit | None = None, name: str = "") -> None:
        self.rule, self._kind, self._edit, self._name = rule, kind, edit, name

    def __str__(self) -> str:
        """Return the rule and what breaks it."""
        return f"{getattr(self.rule, '__name__', '')}-{self._kind}-{self._name}"

    def made_in(self, plan: Plan) -> Plan:
        """Return the plan with the mistake."""
        shown = {**plan.shown, "planned_values": deepcopy(plan.shown["planned_values"])}
        found = [
            (held, one)
            for held, one in _all(shown["planned_values"]["root_module"])
            if one["type"] == self._kind and self._name in ("", short_address(one["address"], self._kind))
        ]
        assert found, f"the plan has no {self._kind} {self._name}"
        for held, one in found:
            if self._edit is None:
                held.remove(one)
            else:
                self._edit(one["values"])
        return Plan(shown, plan.said)


def put(**values: object) -> Edit:
    """Set attributes."""
    return lambda held: held.update(values)


def inside(path: str, **values: object) -> Edit:
    """Set attributes of the first block at a path such as ttl or block.inner."""

    def edit(held: Values) -> None:
        for step in path.split("."):
            held = held[step][0]
        held.update(values)

    return edit


def allow(actions: list[str], resource: str, sid: str = "More") -> Edit:
    """Add a statement to a policy."""

    def edit(held: Values) -> None:
        policy = json.loads(held["policy"])
        policy["Statement"].append({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource})
        held["policy"] = json.dumps(policy)

    return edit


def without(sid: str) -> Edit:
    """Remove statements of a policy: that of a Sid, or those without one."""

    def edit(held: Values) -> None:
        policy = json.loads(held["policy"])
        policy["Statement"] = [one for one in policy["Statement"] if one.get("Sid", "") != sid]
        held["policy"] = json.dumps(policy)

    return edit


def widen(sid: str, action: str) -> Edit:
    """Add an action to a statement of a policy."""

    def edit(held: Values) -> None:
        policy = json.loads(held["policy"])
        for one in policy["Statement"]:
            if one.get("Sid") == sid:
                one["Action"] = [*one["Action"], action]
        held["policy"] = json.dumps(policy)

    return edit


def redrive(receives: int) -> Edit:
    """Set the attempts before a message is a dead letter."""
    return lambda held: held.update(
        redrive_policy=json.dumps(json.loads(held["redrive_policy"]) | {"maxReceiveCount": receives})
    )


ROLE, ALARM, RULE = "aws_iam_role_policy", "aws_cloudwatch_metric_alarm", "aws_vpc_security_group_ingress_rule"
API, PROCESSOR = 'machine["api"]', 'machine["processor"]'
FANOUT, LAKE, PROCESSORS = "module.fanout[0]", "module.lake[0]", "module.processors[0]"
TABLE = "arn:aws:dynamodb:eu-west-1:210987654321:table/prices-production-prices"
ALARMS = (
    *(f'module.streaming[0].stream["{of}"]' for of in ("iterator-old", "reads-throttled", "writes-refused")),
    *(f'{FANOUT}.main["{of}"]' for of in ("events-old", "events-many", "dead-many", "dead-old", "trades-throttled")),
)
Broken = tuple[str, Edit | None] | tuple[str, Edit | None, str]
MISTAKES: dict[Rule, list[Broken]] = {
    whole.test_only_the_balancer_is_open_and_there_is_no_ssh: [
        (RULE, put(from_port=22), 'inside["alb-api"]'),
        (RULE, put(cidr_ipv4="0.0.0.0/0"), 'inside["api-redis"]'),
    ],
    whole.test_machines_have_no_public_address: [
        ("aws_subnet", put(map_public_ip_on_launch=True), 'private["eu-west-1a"]'),
        ("aws_instance", put(associate_public_ip_address=True), "monitoring[0]"),
    ],
    whole.test_the_metadata_service_wants_a_token: [
        ("aws_launch_template", inside("metadata_options", http_tokens="optional"), 'main["api"]'),
    ],
    whole.test_no_role_has_a_wildcard_without_a_reason: [
        (ROLE, allow(["dynamodb:*"], TABLE), API),
        (ROLE, allow(["dynamodb:Query"], "*"), PROCESSOR),
        (ROLE, allow(["s3:GetObject"], "arn:aws:s3:::other/*"), API),
    ],
    whole.test_each_role_reaches_its_own_only: [
        (ROLE, allow(["s3:PutObject"], "x", "RescueItsOutbox"), API),
    ],
    whole.test_rights_on_the_table_are_what_the_code_calls: [
        (ROLE, widen("UseTheTable", "dynamodb:DeleteItem"), API),
    ],
    whole.test_everything_kept_is_encrypted: [
        ("aws_ebs_volume", put(encrypted=False)),
        ("aws_dynamodb_table", inside("server_side_encryption", enabled=False), "prices"),
        ("aws_s3_bucket_server_side_encryption_configuration", None, "rescue"),
        ("aws_kms_key", put(enable_key_rotation=False)),
    ],
    whole.test_buckets_are_closed: [
        ("aws_s3_bucket_public_access_block", put(block_public_acls=False), f'{LAKE}.main["lake"]'),
        ("aws_s3_bucket_policy", without("NotInTheClear"), "access"),
    ],
    whole.test_redis_is_signed_in_to_and_survives_a_zone: [
        ("aws_elasticache_user", put(access_string="on ~* +@all"), "default"),
    ],
    whole.test_the_table_is_as_the_service_wants_it_and_safe: [
        ("aws_dynamodb_table", put(deletion_protection_enabled=False), "prices"),
    ],
    whole.test_there_is_no_secret_anywhere: [
        ("aws_ssm_parameter", put(type="SecureString"), 'setting["api/PORT"]'),
    ],
    whole.test_everything_is_tagged: [
        ("aws_sqs_queue", put(tags_all={}), f"{FANOUT}.events"),
    ],
    groups.test_every_alarm_tells_somebody: [
        ("aws_budgets_budget", inside("notification", threshold=100)),
        ("aws_sns_topic_subscription", put(endpoint="nobody@example.com")),
    ],
    whole.test_machines_reach_aws_without_the_internet: [
        ("aws_vpc_endpoint", None, 'interface["sqs"]'),
    ],
    stream.test_the_stream_is_encrypted_and_every_queue_and_stream_has_alarms: [
        ("aws_kinesis_stream", put(encryption_type="NONE")),
        *[(ALARM, None, name) for name in ALARMS],
    ],
    stream.test_what_a_reader_cannot_process_is_set_aside: [
        ("aws_sqs_queue", redrive(50), f"{FANOUT}.events"),
    ],
    stream.test_processors_scale_by_the_lag_of_their_log: [
        (ALARM, put(namespace="AWS/Kafka"), f"{PROCESSORS}.behind"),
        (ALARM, put(threshold=10), f"{PROCESSORS}.behind"),
        (ALARM, put(treat_missing_data="notBreaching"), f"{PROCESSORS}.quiet"),
    ],
    stream.test_tables_are_as_the_service_wants_them_and_safe: [
        ("aws_dynamodb_table", inside("point_in_time_recovery", enabled=False), f'{FANOUT}.main["trades"]'),
    ],
    stream.test_rights_are_what_the_code_calls: [
        (ROLE, widen("UseTrades", "dynamodb:DeleteTable"), PROCESSOR),
    ],
    stream.test_each_role_reaches_its_part_of_the_stream_only: [
        (ROLE, allow(["kinesis:GetRecords"], "x", "ReadTheStream"), API),
    ],
    stream.test_msk_is_reached_by_those_who_use_it_and_signed_in_to: [
        (ROLE, widen("UseTheTopic", "kafka-cluster:DeleteTopic"), API),
    ],
    stream.test_the_endpoints_let_pass_what_roles_may: [
        ("aws_vpc_endpoint", without(""), "dynamodb"),
    ],
    stream.test_processors_are_private_and_read_the_stream: [
        ("aws_kinesis_stream", put(name="another")),
    ],
    stream.test_the_archive_becomes_cheaper_and_queries_are_bounded: [
        ("aws_athena_workgroup", inside("configuration", enforce_workgroup_configuration=False)),
    ],
    stream.test_raw_records_are_lines: [
        (
            "aws_kinesis_firehose_delivery_stream",
            inside("extended_s3_configuration.processing_configuration.processors", type="Lambda"),
        ),
    ],
}


@pytest.mark.parametrize(
    "mistake", [Mistake(rule, *one) for rule, all_of in MISTAKES.items() for one in all_of], ids=str
)
def test_a_mistake_breaks_its_rule(plan: Plan, mistake: Mistake) -> None:
    """The rule holds for the plan, and fails for the plan with the mistake."""
    mistake.rule(plan)
    with pytest.raises(AssertionError):
        mistake.rule(mistake.made_in(plan))
