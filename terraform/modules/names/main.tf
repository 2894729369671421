# Names, addresses and rights of the trade stream. This module makes no resource. The deployment and each stage read the same
# names from it, so that a policy is complete before the resource that it names exists, and a test can read it in a plan.

terraform {
  required_version = ">= 1.6"
}

locals {
  suffix = try(var.fanout.fifo, false) ? ".fifo" : ""
  name = {
    stream   = "${var.name}-trades"
    leases   = "${var.name}-leases"
    trades   = "${var.name}-trades"
    events   = "${var.name}-events"
    queue    = "${var.name}-events${local.suffix}"
    dead     = "${var.name}-events-dead${local.suffix}"
    lake     = "${var.name}-lake-${var.account}"
    results  = "${var.name}-athena-${var.account}"
    database = replace("${var.name}-lake", "-", "_")
  }
  place = { for service in ["kinesis", "kafka", "dynamodb", "sqs", "logs"] : service => "arn:${var.partition}:${service}:${var.region}:${var.account}" }
  arn = {
    stream  = "${local.place.kinesis}:stream/${local.name.stream}"
    leases  = "${local.place.dynamodb}:table/${local.name.leases}"
    trades  = "${local.place.dynamodb}:table/${local.name.trades}"
    events  = "${local.place.dynamodb}:table/${local.name.events}"
    queue   = "${local.place.sqs}:${local.name.queue}"
    dead    = "${local.place.sqs}:${local.name.dead}"
    lake    = "arn:${var.partition}:s3:::${local.name.lake}"
    results = "arn:${var.partition}:s3:::${local.name.results}"
    # MSK puts an unknown part behind the cluster's name.
    kafka       = "${local.place.kafka}:cluster/${var.name}/*"
    kafka_topic = "${local.place.kafka}:topic/${var.name}/*/${local.topic}"
    kafka_group = "${local.place.kafka}:group/${var.name}/*/${local.group}"
  }

  # The topic and the consumer group of the service. Its roles have no right on others.
  topic = "trades"
  group = "aggregator"
  # Age of the oldest unread trade, as the log's own service measures it; `second` is a second in the unit of the metric.
  lag = var.kafka_log ? {
    namespace  = "AWS/Kafka"
    metric     = "EstimatedMaxTimeLag"
    dimensions = tomap({ "Cluster Name" = var.name, "Consumer Group" = local.group, "Topic" = local.topic })
    second     = 1
    } : {
    namespace  = "AWS/Kinesis"
    metric     = "GetRecords.IteratorAgeMilliseconds"
    dimensions = tomap({ "StreamName" = local.name.stream })
    second     = 1000
  }

  streams = var.streaming != null
  tables  = var.fanout != null
  archive = var.lake != null
  roles   = concat(["api", "refresher"], var.processors == null ? [] : ["processor"])
  # A refresher that takes the exchanges' trades appends to the stream, and processes a share of it.
  processing = var.trade_feeds ? ["processor", "refresher"] : ["processor"]
  kafka      = try(var.streaming.msk_serverless, false)
}

# ---------------------------------------------------------------- settings of the service, by role

locals {
  settings = { for role in local.roles : role => merge(
    { # The container's own file system is read-only.
      TRADES_URL         = local.tables ? "dynamodb://${local.name.trades}?region=${var.region}" : "sqlite:////data/trades.db"
      EVENTS_URL         = local.tables ? "dynamodb://${local.name.events}?region=${var.region}" : "sqlite:////data/events.db"
      TRADES_OUTBOX_PATH = "/data/trades-outbox.db"
      DEAD_LETTERS_PATH  = "/data/dead-letters.db"
      STATE_DIR          = "/data/state"
    },
    local.streams ? { TRADES_LOG = "kinesis://${local.name.stream}?region=${var.region}&table=${local.name.leases}" } : {},
    local.archive ? { ARCHIVE_URL = "s3://${local.name.lake}?region=${var.region}", ARCHIVE_PATH = "/data/archive.db" } : {},
    local.tables && role != "api" ? {
      OUTLETS_PATH = "/data/outlets.db"
      OUTLETS      = "sqs://${local.name.queue}?region=${var.region}&topics=${join(",", try(var.fanout.topics, []))}"
    } : {},
    # A processor refuses to start with a topic that it has no events of.
    role != "api" && contains(try(var.fanout.topics, []), "signals") ? { STRATEGY = "true" } : {},
  ) }
}

# ---------------------------------------------------------------- rights, by role: only the calls that the code makes

locals {
  look     = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query"]
  put      = concat(local.look, ["dynamodb:BatchWriteItem"])
  transact = ["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem"] # of paper positions

  statements = { for role in local.roles : role => concat(
    !local.streams ? [] : concat(
      contains(local.processing, role) ? [
        { sid = "ReadTheStream", actions = ["kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"], resources = [local.arn.stream] },
        {
          sid       = "ShareTheShards"
          actions   = ["dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:PutItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
          resources = [local.arn.leases]
        },
      ] : [],
      role == "api" ? [
        { sid = "SeeTheShards", actions = ["kinesis:ListShards"], resources = [local.arn.stream] },
        { sid = "SeeTheLeases", actions = ["dynamodb:DescribeTable"], resources = [local.arn.leases] },
      ] : [],
      role == "api" || role == "refresher" && var.trade_feeds ? [
        { sid = "AppendTrades", actions = ["kinesis:PutRecords"], resources = [local.arn.stream] },
      ] : [],
    ),
    !local.kafka || role == "refresher" && !var.trade_feeds ? [] : concat(
      [
        { sid = "SignInToKafka", actions = ["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"], resources = [local.arn.kafka] },
        {
          sid       = "UseTheTopic"
          actions   = concat(["kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"], contains(local.processing, role) ? ["kafka-cluster:ReadData"] : [])
          resources = [local.arn.kafka_topic]
        },
      ],
      contains(local.processing, role) ? [
        { sid = "ShareTheTopic", actions = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"], resources = [local.arn.kafka_group] },
      ] : [],
    ),
    !local.tables ? [] : concat(
      role == "refresher" && !var.trade_feeds ? [] : [
        { sid = "UseTrades", actions = contains(local.processing, role) ? local.put : local.look, resources = [local.arn.trades] },
      ],
      [{
        sid       = "UseEvents"
        actions   = role == "api" ? local.look : contains(local.processing, role) ? concat(local.put, local.transact) : local.put
        resources = [local.arn.events]
      }],
      role == "api" ? [] : [
        { sid = "SendEvents", actions = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"], resources = [local.arn.queue] },
      ],
    ),
    !local.archive ? [] : [
      { sid = "ListTheArchive", actions = ["s3:ListBucket"], resources = [local.arn.lake] },
      {
        sid       = role == "api" ? "ReadTheArchive" : "KeepTheArchive"
        actions   = role == "api" ? ["s3:GetObject"] : ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
        resources = ["${local.arn.lake}/*"]
      },
    ],
  ) }
}

# ---------------------------------------------------------------- ways in a network without internet

locals {
  interfaces = concat(local.streams ? ["kinesis-streams"] : [], local.tables ? ["sqs"] : [])
  # What may pass the two gateways: all that any role may do there.
  gateway = { for service in ["dynamodb", "s3"] : service => [
    for statement in distinct(flatten([for role in local.roles : [
      for one in local.statements[role] : { actions = one.actions, resources = one.resources }
      if startswith(one.actions[0], "${service}:")
    ]])) : statement
  ] }
  encrypted = concat(local.streams ? ["kinesis"] : [], local.tables ? ["sqs"] : [])
}
