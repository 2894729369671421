# On machines, like the refreshers: the outbox is on a disk of its own, and a machine drains it before it ends.

resource "aws_autoscaling_group" "main" {
  for_each                  = local.machines
  name                      = "${var.platform.name}-${each.key}"
  min_size                  = var.settings.min
  max_size                  = var.settings.max
  vpc_zone_identifier       = var.platform.subnet_ids
  health_check_type         = "EC2" # a hanging service is restarted on its machine, where its outbox is
  health_check_grace_period = 300
  default_instance_warmup   = 180
  termination_policies      = ["OldestLaunchTemplate", "OldestInstance"]
  wait_for_capacity_timeout = var.platform.moto ? "0" : "15m"

  launch_template {
    id      = each.value.id
    version = each.value.version
  }

  initial_lifecycle_hook { # the machine needs this time to drain its outbox
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 180
    default_result       = "CONTINUE"
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 150
      instance_warmup        = 180
      auto_rollback          = true
    }
  }

  dynamic "tag" {
    for_each = var.platform.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template does it
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]

    precondition {
      condition     = each.value != null
      error_message = "There is no launch template: set image_digest, and apply the stage foundation first."
    }
  }
}

resource "aws_autoscaling_policy" "cpu" {
  for_each               = local.machines
  name                   = "processor-cpu"
  autoscaling_group_name = aws_autoscaling_group.main[each.key].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value     = 60
    disable_scale_in = true

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "lag" {
  for_each                  = var.settings.runs_on == "ec2" ? local.steps : {}
  name                      = "processor-lag-${each.key}" # moto knows policies by name, without their group
  autoscaling_group_name    = aws_autoscaling_group.main["processor"].name
  policy_type               = "StepScaling"
  adjustment_type           = "ChangeInCapacity"
  metric_aggregation_type   = "Maximum"
  estimated_instance_warmup = 180

  step_adjustment {
    scaling_adjustment          = each.value
    metric_interval_lower_bound = each.value > 0 ? "0" : null
    metric_interval_upper_bound = each.value > 0 ? null : "0"
  }
}

# The service's own figures, which the agent of each machine sends. A task on Fargate has no agent.
locals {
  alarms = {
    outbox-old = { say = "A trade has been waiting five minutes for DynamoDB.", of = "trades_outbox_oldest_age_seconds", than = 300, for = 2 }
    disk-full  = { say = "The disk of a processor is nearly full.", of = "price_system_disk_usage_percent", than = 80, for = 5 }
  }
}

resource "aws_cloudwatch_metric_alarm" "machine" {
  for_each            = { for name, alarm in local.alarms : name => alarm if var.settings.runs_on == "ec2" }
  alarm_name          = "${var.platform.name}-processor-${each.key}"
  alarm_description   = each.value.say
  namespace           = var.platform.name
  metric_name         = each.value.of
  dimensions          = { group = "processor" }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.than
  period              = 60
  evaluation_periods  = each.value.for
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.platform.alarm_topic_arn]
  ok_actions          = [var.platform.alarm_topic_arn]
}
