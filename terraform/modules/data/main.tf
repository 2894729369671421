# The history. The service makes a missing table itself, but here it has no right to: its rights are only those it needs.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

resource "aws_dynamodb_table" "prices" {
  name                        = var.deployment.table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "asset"
  range_key                   = "timestamp"
  deletion_protection_enabled = var.deployment.keep

  attribute {
    name = "asset"
    type = "S"
  }

  attribute {
    name = "timestamp"
    type = "N"
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
    kms_key_arn = var.key_arn
  }
}
