"""The rules of machine groups and alarms, read from a plan: replacement, growth, and who is told."""

import pytest

from tests.parts.terraform import Plan
from tests.terraform.conftest import EVERYTHING

pytestmark = pytest.mark.real


def test_groups_replace_their_machines_in_turn_and_wait_for_the_outbox(plan: Plan) -> None:
    """Groups start a new machine before they end an old one and roll back on failure; refreshers get time to drain."""
    groups = plan.of("aws_autoscaling_group")
    processor = 'module.processors[0].main["processor"]'
    assert set(groups) == {"api[0]", "refresher[0]", processor}
    for group in groups.values():
        (preferences,) = group["instance_refresh"][0]["preferences"]
        assert (preferences["min_healthy_percentage"], preferences["auto_rollback"]) == (100, True)
    for name in ("refresher[0]", processor):
        (hook,) = groups[name]["initial_lifecycle_hook"]
        assert hook["lifecycle_transition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
        assert hook["heartbeat_timeout"] > 30 + 90, "to stop, then to drain"


def test_groups_grow_with_their_work(plan: Plan) -> None:
    """The API group scales on CPU; refreshers scale out on CPU or late jobs, and in only when both are low."""
    targets = {
        name: one["target_tracking_configuration"][0]["target_value"]
        for name, one in plan.of("aws_autoscaling_policy").items()
        if one["policy_type"] == "TargetTrackingScaling"
    }
    assert targets == {"api_cpu[0]": 50, "refresher_cpu[0]": 60, 'module.processors[0].cpu["processor"]': 60}
    steps = {
        name: one["step_adjustment"][0]["scaling_adjustment"]
        for name, one in plan.of("aws_autoscaling_policy").items()
        if one["policy_type"] == "StepScaling"
    }
    assert steps == {
        f'{name}["{direction}"]': by
        for name in ("refresher_lag", "module.processors[0].lag")
        for direction, by in {"up": 1, "down": -1}.items()
    }
    alarms = plan.of("aws_cloudwatch_metric_alarm")
    interval = int(EVERYTHING["settings"]["HOT_INTERVAL"])
    assert alarms["refresher_lag_up[0]"]["threshold"] == interval / 2
    assert alarms['main["refreshers-behind"]']["threshold"] == interval


def test_every_alarm_tells_somebody(plan: Plan) -> None:
    """Every alarm notifies the topic, which has a subscriber, or scales a group; the budget warns before its limit."""
    for name, unknown in plan.unknown_of("aws_cloudwatch_metric_alarm").items():
        assert unknown.get("alarm_actions"), name
    assert plan.one("aws_sns_topic_subscription")["endpoint"] == EVERYTHING["alarm_email"]
    told = {(one["notification_type"], one["threshold"]) for one in plan.one("aws_budgets_budget")["notification"]}
    assert told == {("ACTUAL", 80), ("FORECASTED", 100)}
