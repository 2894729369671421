data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:the first two by name are used; one that AWS adds sorts after them
  state = "available"

  filter { # no local zones
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  name    = "${var.name}-${var.environment}"
  account = data.aws_caller_identity.current.account_id
  # 123456789012 is the account of AWS' examples, which moto uses: the configuration can be tried there without AWS. Moto has
  # no user groups and no nodes of replication groups, deletes no subnet groups and has no tags of budgets. Its machines
  # never become healthy and have no detailed monitoring, its Kafka is never ready, and its resources must be deletable.
  # tests/terraform plans for another account, so that the rules are checked against the whole configuration.
  moto   = local.account == "123456789012"
  keep   = var.deletion_protection && !local.moto
  zones  = slice(data.aws_availability_zones.available.names, 0, 2)
  zone   = { for number, zone in local.zones : zone => number }
  domain = "${local.name}.internal"

  # Without an image there are no machines.
  running   = var.image_digest != null
  exchanges = local.running && var.mock_exchanges ? { exchange1 = 8081, exchange2 = 8082, exchange3 = 8083 } : {}
  monitored = local.running && var.monitoring != null
  port      = 8080

  # Names are composed here instead of read from the resources, so that a plan has complete policies before anything exists,
  # and a test can read them.
  arn = {
    for service in ["dynamodb", "ssm", "elasticache", "logs", "ecr", "ec2", "kms", "sns"] :
    service => "arn:${data.aws_partition.current.partition}:${service}:${var.region}:${local.account}"
  }
  registry = "${local.account}.dkr.ecr.${var.region}.${data.aws_partition.current.dns_suffix}"
}

# ---------------------------------------------------------------- names and rights that several modules need

locals {
  table     = "${local.name}-prices"
  table_arn = "${local.arn.dynamodb}:table/${local.table}"

  # What aggregator/stores/dynamodb/table.py calls. Terraform switches TTL on, so it only has to look.
  table_actions = {
    api       = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query"]
    processor = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query"]
    refresher = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query", "dynamodb:BatchWriteItem"]
  }

  redis_id   = local.name
  redis_user = "${local.name}-service"
  rescue     = "${local.name}-rescue-${local.account}"
  rescue_arn = "arn:${data.aws_partition.current.partition}:s3:::${local.rescue}"
  image      = "${local.registry}/${local.name}/aggregator@${coalesce(var.image_digest, "none")}"
  group_tags = merge(var.tags, { Project = var.name, Environment = var.environment, ManagedBy = "terraform" })

  log_groups = merge(
    { for group in ["service", "metrics", "instances", "flow"] : group => "/${local.name}/${group}" },
    { waf = "aws-waf-logs-${local.name}" }, # WAF insists on the prefix
  )

  # The repositories of the images that a machine runs.
  images_of = merge(
    {
      api        = ["aggregator"]
      refresher  = ["aggregator"]
      exchanges  = ["aggregator"]
      monitoring = ["prometheus", "grafana"]
    },
    local.processing_machines ? { processor = ["aggregator"] } : {},
  )
  users_of_settings = toset(concat(["api", "refresher"], local.processing_machines ? ["processor"] : []))

  redis_arns = [
    "${local.arn.elasticache}:replicationgroup:${local.redis_id}",
    "${local.arn.elasticache}:user:${local.redis_user}",
  ]
  # Of a processor on Fargate, whose role is in modules/processors.
  processor_rights = concat(
    [
      { sid = "UseTheTable", actions = local.table_actions.processor, resources = [local.table_arn] },
      { sid = "SignInToRedis", actions = ["elasticache:Connect"], resources = local.redis_arns },
    ],
    lookup(module.names.statements, "processor", []),
  )
}

locals {
  # The facts that the modules of the service read; each names those it needs.
  deployment = {
    name                = local.name
    region              = var.region
    account             = local.account
    partition           = data.aws_partition.current.partition
    moto                = local.moto
    keep                = local.keep
    zones               = local.zones
    zone                = local.zone
    domain              = local.domain
    running             = local.running
    monitored           = local.monitored
    exchanges           = local.exchanges
    port                = local.port
    arn                 = local.arn
    registry            = local.registry
    image               = local.image
    project             = var.name
    environment         = var.environment
    tags                = var.tags
    group_tags          = local.group_tags
    table               = local.table
    table_arn           = local.table_arn
    table_actions       = local.table_actions
    redis_id            = local.redis_id
    redis_user          = local.redis_user
    rescue              = local.rescue
    rescue_arn          = local.rescue_arn
    log_groups          = local.log_groups
    images_of           = local.images_of
    users_of_settings   = local.users_of_settings
    settings_path       = local.settings_path
    redis_arns          = local.redis_arns
    processing          = local.processing
    processing_machines = local.processing_machines
    hot_interval        = local.hot_interval
  }
}
