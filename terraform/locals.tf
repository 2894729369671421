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
