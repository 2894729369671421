# The alarms. The service's figures come from its /metrics through the CloudWatch agent (files/metrics.json.tftpl).
# Prometheus has the same alerts.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.deployment.name}-alarms"
  kms_master_key_id = var.key_arn
}

data "aws_iam_policy_document" "alarms" {
  statement {
    actions   = ["sns:Publish"]
    resources = ["${var.deployment.arn.sns}:${var.deployment.name}-alarms"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.deployment.account]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.alarm_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

locals {
  balancer = { LoadBalancer = var.balancer.name }
  target   = merge(local.balancer, { TargetGroup = var.balancer.target })

  # `missing` is set on alarms that must also fire when no machine reports any more.
  alarms = merge(
    {
      no-machine-answers = { say = "No API machine is healthy.", in = "AWS/ApplicationELB", of = "HealthyHostCount", by = local.target, stat = "Minimum", when = "<", than = 1, for = 2, missing = "breaching" }
      machine-unhealthy  = { say = "An API machine does not answer /health.", in = "AWS/ApplicationELB", of = "UnHealthyHostCount", by = local.target, stat = "Maximum", when = ">", than = 0, for = 10 }
      errors             = { say = "More than ten 5xx a minute from the API, including 503 without a price.", in = "AWS/ApplicationELB", of = "HTTPCode_Target_5XX_Count", by = local.balancer, stat = "Sum", when = ">", than = 10, for = 3 }
      balancer-errors    = { say = "The load balancer itself answers 5xx: no machine was available.", in = "AWS/ApplicationELB", of = "HTTPCode_ELB_5XX_Count", by = local.balancer, stat = "Sum", when = ">", than = 10, for = 3 }
      slow               = { say = "One request of twenty takes more than 80 ms.", in = "AWS/ApplicationELB", of = "TargetResponseTime", by = local.balancer, stat = "p95", when = ">", than = 0.08, for = 5 }
      table-throttled    = { say = "DynamoDB throttles. Nothing is lost; the outboxes grow.", in = "AWS/DynamoDB", of = "WriteThrottleEvents", by = { TableName = var.deployment.table }, stat = "Sum", when = ">", than = 100, for = 5 }
      redis-cpu          = { say = "Redis' CPU core is nearly fully used.", in = "AWS/ElastiCache", of = "EngineCPUUtilization", by = { ReplicationGroupId = var.deployment.redis_id }, stat = "Average", when = ">", than = 80, for = 5 }
      redis-memory       = { say = "Redis is nearly full; prices will be dropped from the cache.", in = "AWS/ElastiCache", of = "DatabaseMemoryUsagePercentage", by = { ReplicationGroupId = var.deployment.redis_id }, stat = "Maximum", when = ">", than = 80, for = 5 }
      redis-sign-in      = { say = "Redis refuses sign-ins: check the user group and the right elasticache:Connect.", in = "AWS/ElastiCache", of = "AuthenticationFailures", by = { ReplicationGroupId = var.deployment.redis_id }, stat = "Sum", when = ">", than = 0, for = 3 }
    },
    { for name, alarm in {
      refreshers-behind = { say = "Hot jobs are an interval late, or no refresher reports: prices become stale.", in = var.deployment.name, of = "price_jobs_lag_seconds", by = { group = "refresher", tier = "hot" }, stat = "Maximum", when = ">", than = var.deployment.hot_interval, for = 5, missing = "breaching" }
      refreshes-fail    = { say = "Hot assets get no price from any exchange.", in = var.deployment.name, of = "price_refresh_errors_total", by = { group = "refresher", tier = "hot" }, stat = "Sum", when = ">", than = 20, for = 5 }
      outbox-old        = { say = "A price has been waiting five minutes for DynamoDB.", in = var.deployment.name, of = "price_outbox_oldest_age_seconds", by = { group = "refresher" }, stat = "Maximum", when = ">", than = 300, for = 2 }
      outbox-gives-up   = { say = "An outbox is full: prices of that tier are dropped.", in = var.deployment.name, of = "price_outbox_refused_total", by = { group = "refresher" }, stat = "Sum", when = ">", than = 0, for = 1 }
      history-lost      = { say = "History did not accept some prices.", in = var.deployment.name, of = "price_history_lost_total", by = { group = "refresher" }, stat = "Sum", when = ">", than = 0, for = 1 }
      dead-letters      = { say = "DynamoDB has refused prices for good: aggregator dead-letters list.", in = var.deployment.name, of = "price_dead_letters", by = { group = "refresher" }, stat = "Maximum", when = ">", than = 0, for = 1 }
      disk-full         = { say = "A machine's disk is nearly full.", in = var.deployment.name, of = "price_system_disk_usage_percent", by = { group = "refresher" }, stat = "Maximum", when = ">", than = 80, for = 5 }
    } : name => alarm if var.deployment.running },
  )
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each            = local.alarms
  alarm_name          = "${var.deployment.name}-${each.key}"
  alarm_description   = each.value.say
  namespace           = each.value.in
  metric_name         = each.value.of
  dimensions          = each.value.by
  statistic           = startswith(each.value.stat, "p") ? null : each.value.stat
  extended_statistic  = startswith(each.value.stat, "p") ? each.value.stat : null
  comparison_operator = each.value.when == ">" ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = each.value.than
  period              = 60
  evaluation_periods  = each.value.for
  treat_missing_data  = try(each.value.missing, "notBreaching")
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}
