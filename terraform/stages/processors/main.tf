# The processors of the stream.

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
      condition     = try(self.outputs.switches.processors, null) != null
      error_message = "processors is off in the stage foundation: set it, then scripts/deploy.sh up foundation"
    }
  }
}

locals {
  foundation = data.terraform_remote_state.foundation.outputs
  switches   = local.foundation.switches
  platform   = merge(local.foundation.platform, { keep = coalesce(var.deletion_protection, local.foundation.platform.keep) })
}

data "terraform_remote_state" "data_streaming" {
  backend = "s3"
  config = {
    bucket         = var.state_bucket
    key            = "price-aggregator/${var.environment}/data-streaming.tfstate"
    region         = var.region
    use_path_style = var.state_path_style
  }
  defaults = { stream = null, stream_arn = null }

  lifecycle {
    postcondition {
      condition     = self.outputs.stream != null
      error_message = "The stage data-streaming is missing: scripts/deploy.sh up data-streaming"
    }
  }
}

module "processors" {
  source   = "../../modules/processors"
  settings = local.switches.processors
  platform = local.platform
}

output "runs_on" {
  description = "Name of the Auto Scaling group, or of the service on Fargate."
  value       = module.processors.runs_on
}
