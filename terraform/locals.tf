data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:the first two by name are taken; one that AWS adds comes behind them
  state = "available"

  filter { # no local zones
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  name    = "${var.name}-${var.environment}"
  account = data.aws_caller_identity.current.account_id
  # 123456789012 is the account of AWS' own examples: nobody's, but the one that moto plays, where this is tried out
  # without AWS. Moto has no user groups and no nodes of replication groups, deletes no subnet groups and knows no tags of
  # budgets; its machines never become healthy, nor are looked at by the minute; and what it holds is to be deleted again.
  # tests/terraform plans for another account, so that the rules are held against all of it.
  moto   = local.account == "123456789012"
  keep   = var.deletion_protection && !local.moto
  zones  = slice(data.aws_availability_zones.available.names, 0, 2)
  zone   = { for number, zone in local.zones : zone => number }
  domain = "${local.name}.internal"

  # Until there is an image there is nothing to run.
  running   = var.image_digest != null
  exchanges = local.running && var.mock_exchanges ? { exchange1 = 8081, exchange2 = 8082, exchange3 = 8083 } : {}
  monitored = local.running && var.monitoring != null
  port      = 8080

  # Names are put together here instead of read from the resources, so that a plan shows whole policies before
  # anything exists, and a test can read them.
  arn = {
    for service in ["dynamodb", "ssm", "elasticache", "logs", "ecr", "ec2", "kms", "sns"] :
    service => "arn:${data.aws_partition.current.partition}:${service}:${var.region}:${local.account}"
  }
  registry = "${local.account}.dkr.ecr.${var.region}.${data.aws_partition.current.dns_suffix}"
}
