# Where processors put what they find: tables of trades and events, and a queue of events for other programs, with a
# dead-letter queue for what these cannot process.

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
  tables = { trades = "asset_shard", events = "topic_asset" } # partition keys; the sort key of both is time_id
}

resource "aws_dynamodb_table" "main" {
  for_each                    = local.tables
  name                        = var.names[each.key]
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value
  range_key                   = "time_id"
  stream_enabled              = var.settings.table_streams
  stream_view_type            = var.settings.table_streams ? "NEW_IMAGE" : null
  deletion_protection_enabled = var.platform.keep

  attribute {
    name = each.value
    type = "S"
  }

  attribute {
    name = "time_id"
    type = "S"
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.platform.key_arn
  }
}

resource "aws_sqs_queue" "events" {
  name                        = var.names.queue
  fifo_queue                  = var.settings.fifo
  content_based_deduplication = var.settings.fifo ? false : null # the service sends an id with each event
  deduplication_scope         = var.settings.fifo ? "messageGroup" : null
  fifo_throughput_limit       = var.settings.fifo ? "perMessageGroupId" : null
  message_retention_seconds   = 4 * 86400
  visibility_timeout_seconds  = var.settings.visibility_seconds
  receive_wait_time_seconds   = 20
  kms_master_key_id           = var.platform.key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = var.arns.dead
    maxReceiveCount     = var.settings.receives
  })

  depends_on = [aws_sqs_queue.dead]
}

resource "aws_sqs_queue" "dead" {
  name                      = var.names.dead
  fifo_queue                = var.settings.fifo # must be of the same kind
  message_retention_seconds = 14 * 86400
  kms_master_key_id         = var.platform.key_arn
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  count     = var.platform.moto ? 0 : 1 # moto forgets it, so the provider would wait for it in vain
  queue_url = aws_sqs_queue.dead.url

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [var.arns.queue]
  })
}

data "aws_iam_policy_document" "queue" {
  for_each = { events = var.arns.queue, dead = var.arns.dead }

  statement {
    sid       = "NotInTheClear"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "main" {
  for_each  = { events = aws_sqs_queue.events.url, dead = aws_sqs_queue.dead.url }
  queue_url = each.value
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

# ---------------------------------------------------------------- alarms

locals {
  queue = { QueueName = var.names.queue }
  dead  = { QueueName = var.names.dead }
  alarms = merge(
    {
      events-old  = { say = "An event has been waiting for its reader.", in = "AWS/SQS", of = "ApproximateAgeOfOldestMessage", by = local.queue, stat = "Maximum", than = var.settings.age_seconds, for = 5 }
      events-many = { say = "Many events wait: the reader is slower than the service.", in = "AWS/SQS", of = "ApproximateNumberOfMessagesVisible", by = local.queue, stat = "Maximum", than = var.settings.depth, for = 5 }
      dead-many   = { say = "A reader could not process an event. Look at it, then redrive the queue.", in = "AWS/SQS", of = "ApproximateNumberOfMessagesVisible", by = local.dead, stat = "Maximum", than = 0, for = 1 }
      dead-old    = { say = "A dead letter is ten days old; it is deleted after fourteen.", in = "AWS/SQS", of = "ApproximateAgeOfOldestMessage", by = local.dead, stat = "Maximum", than = 10 * 86400, for = 1 }
    },
    { for table in keys(local.tables) : "${table}-throttled" => { say = "DynamoDB throttles. Nothing is lost; the outboxes of processors grow.", in = "AWS/DynamoDB", of = "WriteThrottleEvents", by = { TableName = var.names[table] }, stat = "Sum", than = 100, for = 5 } },
  )
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each            = local.alarms
  alarm_name          = "${var.platform.name}-fanout-${each.key}"
  alarm_description   = each.value.say
  namespace           = each.value.in
  metric_name         = each.value.of
  dimensions          = each.value.by
  statistic           = each.value.stat
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.than
  period              = 60
  evaluation_periods  = each.value.for
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.platform.alarm_topic_arn]
  ok_actions          = [var.platform.alarm_topic_arn]
}
