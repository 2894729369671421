# The history. The service makes a missing table itself, but here it has no right to: its rights are only those it needs.

locals {
  table     = "${local.name}-prices"
  table_arn = "${local.arn.dynamodb}:table/${local.table}"

  # What aggregator/stores/dynamodb/table.py calls. TTL is switched on below, so it only has to look.
  table_actions = {
    api       = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query"]
    processor = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query"]
    refresher = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:Query", "dynamodb:BatchWriteItem"]
  }
}

resource "aws_dynamodb_table" "prices" {
  name                        = local.table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "asset"
  range_key                   = "timestamp"
  deletion_protection_enabled = local.keep

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
    kms_key_arn = aws_kms_key.main.arn
  }
}
