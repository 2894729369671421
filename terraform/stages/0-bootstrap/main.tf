# Once per account: the bucket of all states, and the roles of the workflows. Its own state begins on the machine that applies
# it; scripts/deploy.sh then moves it into the bucket.

terraform {
  required_version = ">= 1.10" # locks in the bucket itself

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project   = var.name
      ManagedBy = "terraform"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  aws     = "arn:${data.aws_partition.current.partition}"
  bucket  = "${local.aws}:s3:::${var.state_bucket}"
  moto    = local.account == "123456789012" # as in ../../locals.tf
}

resource "aws_s3_bucket" "states" {
  #checkov:skip=CKV_AWS_18:CloudTrail names who changes a state; a log bucket would need one of its own
  #checkov:skip=CKV_AWS_144:versions bring a state back; another region is a choice of the account
  #checkov:skip=CKV2_AWS_62:nothing waits for new states
  bucket        = var.state_bucket
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "states" {
  bucket                  = aws_s3_bucket.states.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "states" {
  bucket = aws_s3_bucket.states.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "states" {
  bucket = aws_s3_bucket.states.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms" # AWS' own key for S3: a key that is made here could not be read before it exists
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "states" {
  bucket = aws_s3_bucket.states.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.states]
}

data "aws_iam_policy_document" "states" {
  statement {
    sid       = "NotInTheClear"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.bucket, "${local.bucket}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "states" {
  count      = local.moto ? 0 : 1 # moto's buckets do not know conditions: this would deny everything
  bucket     = aws_s3_bucket.states.id
  policy     = data.aws_iam_policy_document.states.json
  depends_on = [aws_s3_bucket_public_access_block.states]
}
