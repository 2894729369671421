# The event log of trades: a Kinesis stream, and the table by which processors share its shards. MSK Serverless by a switch.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

resource "aws_kinesis_stream" "trades" {
  name             = var.names.stream
  shard_count      = var.settings.shards
  retention_period = var.settings.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = var.platform.key_arn

  shard_level_metrics = var.settings.shards == null ? [] : [
    "IncomingBytes", "OutgoingBytes", "IteratorAgeMilliseconds",
    "ReadProvisionedThroughputExceeded", "WriteProvisionedThroughputExceeded",
  ]

  stream_mode_details {
    stream_mode = var.settings.shards == null ? "ON_DEMAND" : "PROVISIONED"
  }
}

# One item for each shard. The service makes a missing table itself, but has no right to here.
resource "aws_dynamodb_table" "leases" {
  name                        = var.names.leases
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "leaseKey"
  deletion_protection_enabled = var.platform.keep

  attribute {
    name = "leaseKey"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.platform.key_arn
  }
}

locals {
  stream = { StreamName = var.names.stream }
  alarms = {
    iterator-old    = { say = "Trades wait a minute in the stream: too few processors, or they fail.", of = "GetRecords.IteratorAgeMilliseconds", stat = "Maximum", than = 60000, for = 5 }
    reads-throttled = { say = "A shard gives its readers less than they ask for.", of = "ReadProvisionedThroughputExceeded", stat = "Sum", than = 100, for = 5 }
    writes-refused  = { say = "A shard refuses records: POST /ingest waits, then answers 503. More shards, or on-demand.", of = "WriteProvisionedThroughputExceeded", stat = "Sum", than = 0, for = 3 }
  }
}

resource "aws_cloudwatch_metric_alarm" "stream" {
  for_each            = local.alarms
  alarm_name          = "${var.platform.name}-stream-${each.key}"
  alarm_description   = each.value.say
  namespace           = "AWS/Kinesis"
  metric_name         = each.value.of
  dimensions          = local.stream
  statistic           = each.value.stat
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.than
  period              = 60
  evaluation_periods  = each.value.for
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.platform.alarm_topic_arn]
  ok_actions          = [var.platform.alarm_topic_arn]
}

# ---------------------------------------------------------------- MSK Serverless, if wanted

locals {
  kafka_clients = var.settings.msk_serverless ? var.platform.kafka_clients : {}
}

# It accepts IAM only: the service signs in with KAFKA_SASL = AWS_MSK_IAM. Its addresses are known when it exists, so TRADES_LOG
# is set after the first apply (README).
resource "aws_msk_serverless_cluster" "main" {
  count        = var.settings.msk_serverless && !var.platform.moto ? 1 : 0 # moto's cluster is never ready
  cluster_name = var.platform.name

  vpc_config {
    subnet_ids         = var.platform.subnet_ids
    security_group_ids = [aws_security_group.kafka[0].id]
  }

  client_authentication {
    sasl {
      iam {
        enabled = true
      }
    }
  }
}

resource "aws_security_group" "kafka" {
  #checkov:skip=CKV2_AWS_5:it is on the cluster above; the check does not know MSK Serverless
  count       = var.settings.msk_serverless ? 1 : 0
  name        = "${var.platform.name}-kafka"
  description = "MSK Serverless"
  vpc_id      = var.platform.vpc_id
  tags        = { Name = "${var.platform.name}-kafka" }
}

resource "aws_vpc_security_group_ingress_rule" "kafka" {
  for_each                     = local.kafka_clients
  security_group_id            = aws_security_group.kafka[0].id
  referenced_security_group_id = each.value
  description                  = "from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 9098
  to_port                      = 9098
}

moved {
  from = aws_vpc_security_group_ingress_rule.kafka[0]
  to   = aws_vpc_security_group_ingress_rule.kafka["processor"]
}

resource "aws_vpc_security_group_egress_rule" "kafka" {
  for_each                     = local.kafka_clients
  security_group_id            = each.value
  referenced_security_group_id = aws_security_group.kafka[0].id
  description                  = "to MSK Serverless"
  ip_protocol                  = "tcp"
  from_port                    = 9098
  to_port                      = 9098
}

# MSK publishes no lag of a group that has never committed an offset, or that is between two assignments.
resource "aws_cloudwatch_metric_alarm" "kafka" {
  count               = var.platform.lag.namespace == "AWS/Kafka" ? 1 : 0
  alarm_name          = "${var.platform.name}-kafka-lag"
  alarm_description   = "Trades wait a minute in the topic: too few processors, or they fail."
  namespace           = var.platform.lag.namespace
  metric_name         = var.platform.lag.metric
  dimensions          = var.platform.lag.dimensions
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 60 * var.platform.lag.second
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.platform.alarm_topic_arn]
  ok_actions          = [var.platform.alarm_topic_arn]
}

data "aws_msk_bootstrap_brokers" "main" {
  count       = length(aws_msk_serverless_cluster.main)
  cluster_arn = aws_msk_serverless_cluster.main[0].arn
}
