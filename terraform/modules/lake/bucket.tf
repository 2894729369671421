# The archive: Parquet files by dataset and hour, read by Athena. Results of Athena are in a bucket of their own.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

locals {
  buckets = { lake = var.names.lake, results = var.names.results }
  # The archive is for good, so its files become cheaper with age. Glacier Instant Retrieval, because Athena leaves out files
  # of the other Glacier classes without a word. Files below 128 KB stay where they are: S3 does not move them.
  datasets = keys(local.columns)
}

resource "aws_s3_bucket" "main" {
  #checkov:skip=CKV_AWS_18:its readers are roles of this account; CloudTrail's data events, if wanted, name them
  #checkov:skip=CKV_AWS_144:one region; a copy elsewhere is a choice of the account
  #checkov:skip=CKV2_AWS_62:nothing waits for new files
  #checkov:skip=CKV2_AWS_61:both have one below; the check does not see through for_each
  for_each      = local.buckets
  bucket        = each.value
  force_destroy = !var.platform.keep
}

resource "aws_s3_bucket_public_access_block" "main" {
  for_each                = local.buckets
  bucket                  = aws_s3_bucket.main[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "main" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.main[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "main" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.main[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.platform.key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.main["lake"].id

  dynamic "rule" {
    for_each = local.datasets

    content {
      id     = rule.value
      status = "Enabled"

      filter {
        prefix = "${rule.value}/"
      }

      transition {
        days          = 30
        storage_class = "STANDARD_IA"
      }

      transition {
        days          = 90
        storage_class = "GLACIER_IR"
      }
    }
  }

  dynamic "rule" {
    for_each = { dead-letters = 365, raw = var.settings.raw_days, raw-errors = var.settings.raw_days }

    content {
      id     = rule.key
      status = "Enabled"

      filter {
        prefix = "${rule.key}/"
      }

      expiration {
        days = rule.value
      }
    }
  }

  rule {
    id     = "replaced"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration { # a file that compaction replaced
      noncurrent_days = 7
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.main]
}

resource "aws_s3_bucket_lifecycle_configuration" "results" {
  bucket = aws_s3_bucket.main["results"].id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = 30
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.main]
}

data "aws_iam_policy_document" "bucket" {
  for_each = { lake = var.arns.lake, results = var.arns.results }

  statement {
    sid       = "NotInTheClear"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [each.value, "${each.value}/*"]

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

resource "aws_s3_bucket_policy" "main" {
  for_each   = local.buckets
  bucket     = aws_s3_bucket.main[each.key].id
  policy     = data.aws_iam_policy_document.bucket[each.key].json
  depends_on = [aws_s3_bucket_public_access_block.main]
}
