# The stream and where its results go: Kinesis, tables of trades and events, queues.

terraform {
  required_version = ">= 1.10" # locks in the bucket itself

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }

  backend "s3" {} # scripts/deploy.sh names the place
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.platform.tags
  }
}

data "terraform_remote_state" "foundation" {
  backend = "s3"
  config = {
    bucket         = var.state_bucket
    key            = "price-aggregator/${var.environment}.tfstate"
    region         = var.region
    use_path_style = var.state_path_style
  }
  defaults = { platform = null, switches = null }

  lifecycle {
    postcondition {
      condition     = self.outputs.platform != null
      error_message = "The stage foundation is missing: scripts/deploy.sh up foundation"
    }
    postcondition {
      condition     = try(self.outputs.switches.streaming, null) != null || try(self.outputs.switches.fanout, null) != null
      error_message = "streaming and fanout is off in the stage foundation: set it, then scripts/deploy.sh up foundation"
    }
  }
}

locals {
  foundation = data.terraform_remote_state.foundation.outputs
  switches   = local.foundation.switches
  platform   = merge(local.foundation.platform, { keep = coalesce(var.deletion_protection, local.foundation.platform.keep) })
}

module "streaming" {
  source   = "../../modules/streaming"
  count    = local.switches.streaming == null ? 0 : 1
  names    = local.platform.names
  settings = local.switches.streaming
  platform = local.platform
}

module "fanout" {
  source   = "../../modules/fanout"
  count    = local.switches.fanout == null ? 0 : 1
  names    = local.platform.names
  arns     = local.platform.arns
  settings = local.switches.fanout
  platform = local.platform
}

output "stream" {
  description = "The stream; null without streaming."
  value       = one(module.streaming[*].stream)
}

output "stream_arn" {
  description = "ARN of the stream; null without streaming."
  value       = one(module.streaming[*].stream_arn)
}

output "kafka_brokers" {
  description = "Addresses of MSK Serverless, for TRADES_LOG; null without it."
  value       = one(module.streaming[*].kafka_brokers)
}

output "queues" {
  description = "Queues of events; null without fanout."
  value       = one(module.fanout[*].queues)
}

output "tables" {
  description = "Tables of trades and events; null without fanout."
  value       = one(module.fanout[*].tables)
}
