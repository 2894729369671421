# Processes that read the stream, keep trades and events, and publish them. They share the shards, so any number works, up to
# the number of shards or partitions. They run on machines of an Auto Scaling group, or on Fargate. Both scale by the age of the
# oldest unread trade, which Kinesis or MSK measures.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

locals {
  machines = var.settings.runs_on == "ec2" ? { processor = var.platform.template } : {}
  tasks    = var.settings.runs_on == "fargate" ? { processor = var.platform.image } : {}
  steps    = { up = 1, down = -1 }
  lag      = var.platform.lag
  policies = var.settings.runs_on == "ec2" ? {
    for direction, policy in aws_autoscaling_policy.lag : direction => policy.arn
    } : {
    for direction, policy in aws_appautoscaling_policy.lag : direction => policy.arn
  }
  cpu = var.settings.runs_on == "ec2" ? {
    namespace = "AWS/EC2", dimensions = { AutoScalingGroupName = "${var.platform.name}-processor" }
    } : {
    namespace = "AWS/ECS", dimensions = { ClusterName = var.platform.name, ServiceName = "processor" }
  }
}

resource "aws_cloudwatch_metric_alarm" "behind" {
  alarm_name          = "${var.platform.name}-processor-scale-up"
  alarm_description   = "The oldest unread trade is ten seconds old."
  namespace           = local.lag.namespace
  metric_name         = local.lag.metric
  dimensions          = local.lag.dimensions
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 10 * local.lag.second
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.policies["up"]]
}

resource "aws_cloudwatch_metric_alarm" "quiet" {
  alarm_name          = "${var.platform.name}-processor-scale-down"
  alarm_description   = "For half an hour no trade waited and the processors were idle. Not a problem."
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 30
  treat_missing_data  = "breaching" # no reported age is no reason to scale in
  alarm_actions       = [local.policies["down"]]

  metric_query {
    id          = "busy"
    label       = "0 when there is nothing to do for one processor less"
    expression  = "IF(FILL(age, 999999) < ${local.lag.second} AND cpu < 30, 0, 1)"
    return_data = true
  }

  metric_query {
    id = "age"

    metric {
      namespace   = local.lag.namespace
      metric_name = local.lag.metric
      dimensions  = local.lag.dimensions
      stat        = "Maximum"
      period      = 60
    }
  }

  metric_query {
    id = "cpu"

    metric {
      namespace   = local.cpu.namespace
      metric_name = "CPUUtilization"
      dimensions  = local.cpu.dimensions
      stat        = "Average"
      period      = 60
    }
  }
}
