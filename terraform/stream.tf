# The trade stream: streaming, processors, fanout and lake are modules, each behind its variable. Network, roles and settings are
# made here for all of them, so that the stages (terraform/stages) can make the rest one by one, with `staged`.

module "names" {
  source      = "./modules/names"
  name        = local.name
  region      = var.region
  account     = local.account
  partition   = data.aws_partition.current.partition
  trade_feeds = local.trade_feeds
  kafka_log   = local.kafka_log
  streaming   = var.streaming
  processors  = var.processors
  fanout      = var.fanout
  lake        = var.lake
}

locals {
  processing          = var.processors != null
  processing_machines = try(var.processors.runs_on == "ec2", false)
  trade_feeds         = lookup(var.settings, "TRADE_FEEDS", "false") == "true"
  kafka_roles         = concat(["api"], local.processing ? ["processor"] : [], local.trade_feeds ? ["refresher"] : [])

  # What modules and stages know of this deployment.
  platform = {
    name               = local.name
    names              = module.names.name
    arns               = module.names.arn
    lag                = module.names.lag
    region             = var.region
    account            = local.account
    partition          = data.aws_partition.current.partition
    keep               = local.keep
    moto               = local.moto
    key_arn            = module.identity.key_arn
    alarm_topic_arn    = module.monitoring.alarm_topic_arn
    vpc_id             = module.network.vpc_id
    subnet_ids         = [for zone in local.zones : module.network.private_subnets[zone]]
    kafka_clients      = { for role in local.kafka_roles : role => module.network.group_ids[role] }
    processor_group_id = local.processing ? module.network.group_ids["processor"] : ""
    processor_rights   = local.processing ? local.processor_rights : []
    log_arn            = local.arn.logs
    log_group          = module.monitoring.log_groups["service"]
    repository_arn     = "${local.arn.ecr}:repository/${local.name}/aggregator"
    image              = local.running ? local.image : ""
    architecture       = var.architecture
    port               = local.port
    settings           = local.processing ? local.role_settings.processor : {}
    tags               = local.group_tags
    template           = local.running && local.processing_machines ? module.compute.templates["processor"] : null
  }
}

module "streaming" {
  source   = "./modules/streaming"
  count    = var.streaming == null || var.staged ? 0 : 1
  names    = module.names.name
  settings = var.streaming
  platform = local.platform
}

module "fanout" {
  source   = "./modules/fanout"
  count    = var.fanout == null || var.staged ? 0 : 1
  names    = module.names.name
  arns     = module.names.arn
  settings = var.fanout
  platform = local.platform
}

module "lake" {
  source     = "./modules/lake"
  count      = var.lake == null || var.staged ? 0 : 1
  names      = module.names.name
  arns       = module.names.arn
  stream_arn = one(module.streaming[*].stream_arn)
  settings   = var.lake
  platform   = local.platform
}

module "processors" {
  source     = "./modules/processors"
  count      = local.processing && local.running && !var.staged ? 1 : 0
  settings   = var.processors
  platform   = local.platform
  depends_on = [module.streaming, module.fanout, module.lake, module.network, module.identity]
}
