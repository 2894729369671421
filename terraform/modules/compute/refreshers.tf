# The refreshers. They share the jobs through Redis, so any number works. Each has an outbox on its own disk.

resource "aws_autoscaling_group" "refresher" {
  count                     = var.deployment.running ? 1 : 0
  name                      = "${var.deployment.name}-refresher"
  min_size                  = var.refresher.min
  max_size                  = var.refresher.max
  vpc_zone_identifier       = [for zone in var.deployment.zones : var.private_subnets[zone]]
  health_check_type         = "EC2" # a hanging service is restarted on its machine (container-health), where its outbox is
  health_check_grace_period = 300
  default_instance_warmup   = 180
  termination_policies      = ["OldestLaunchTemplate", "OldestInstance"]
  wait_for_capacity_timeout = var.deployment.moto ? "0" : "15m"

  launch_template {
    id      = aws_launch_template.main["refresher"].id
    version = aws_launch_template.main["refresher"].latest_version
  }

  # The time before Auto Scaling ends a machine. The machine notices (files/drain.sh), stops its service, sends the rest of the
  # outbox to DynamoDB, and puts what could not be sent into a bucket. It always takes the whole time: to end the wait early
  # it would need a right on the group, and an endpoint at about 16 dollars a month.
  initial_lifecycle_hook {
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
    for_each = var.deployment.group_tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }

  depends_on = [var.ready]
}

# Scale out on CPU, or when the hot jobs are half an interval late (slow exchanges leave the CPU idle). Scale in only when
# neither holds: target tracking does not scale in, the step below does.
resource "aws_autoscaling_policy" "refresher_cpu" {
  count                  = var.deployment.running ? 1 : 0
  name                   = "refresher-cpu"
  autoscaling_group_name = aws_autoscaling_group.refresher[0].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value     = 60
    disable_scale_in = true

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "refresher_lag" {
  for_each                  = var.deployment.running ? { up = 1, down = -1 } : {}
  name                      = "lag-${each.key}"
  autoscaling_group_name    = aws_autoscaling_group.refresher[0].name
  policy_type               = "StepScaling"
  adjustment_type           = "ChangeInCapacity"
  metric_aggregation_type   = "Maximum"
  estimated_instance_warmup = 180

  step_adjustment {
    scaling_adjustment          = each.value
    metric_interval_lower_bound = each.key == "up" ? "0" : null
    metric_interval_upper_bound = each.key == "up" ? null : "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "refresher_lag_up" {
  count               = var.deployment.running ? 1 : 0
  alarm_name          = "${var.deployment.name}-refresher-scale-up"
  alarm_description   = "Hot jobs are half an interval behind."
  namespace           = var.deployment.name
  metric_name         = "price_jobs_lag_seconds"
  dimensions          = { group = "refresher", tier = "hot" }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.deployment.hot_interval / 2
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_autoscaling_policy.refresher_lag["up"].arn]
}

resource "aws_cloudwatch_metric_alarm" "refresher_quiet" {
  count               = var.deployment.running ? 1 : 0
  alarm_name          = "${var.deployment.name}-refresher-scale-down"
  alarm_description   = "For half an hour no job was late and the machines were idle. Not a problem."
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 30
  treat_missing_data  = "breaching" # no reported lag is no reason to scale in
  alarm_actions       = [aws_autoscaling_policy.refresher_lag["down"].arn]

  metric_query {
    id          = "busy"
    label       = "0 when there is nothing to do for one machine less"
    expression  = "IF(FILL(lag, 9) < 0.5 AND cpu < 30, 0, 1)"
    return_data = true
  }

  metric_query {
    id = "lag"

    metric {
      namespace   = var.deployment.name
      metric_name = "price_jobs_lag_seconds"
      dimensions  = { group = "refresher", tier = "hot" }
      stat        = "Maximum"
      period      = 60
    }
  }

  metric_query {
    id = "cpu"

    metric {
      namespace   = "AWS/EC2"
      metric_name = "CPUUtilization"
      dimensions  = { AutoScalingGroupName = aws_autoscaling_group.refresher[0].name }
      stat        = "Average"
      period      = 60
    }
  }
}
