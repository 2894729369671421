# Outboxes of refreshers that could not send everything before they ended.

resource "aws_s3_bucket" "rescue" {
  #checkov:skip=CKV_AWS_18:rarely written, and only by machines that log it
  #checkov:skip=CKV_AWS_144:prices of a minute or two that DynamoDB did not accept; one region is enough
  #checkov:skip=CKV2_AWS_62:the alarm on the outbox's age comes before
  bucket        = var.deployment.rescue
  force_destroy = !var.deployment.keep
}

resource "aws_s3_bucket_public_access_block" "rescue" {
  bucket                  = aws_s3_bucket.rescue.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "rescue" {
  bucket = aws_s3_bucket.rescue.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "rescue" {
  bucket = aws_s3_bucket.rescue.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "rescue" {
  bucket = aws_s3_bucket.rescue.id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = 90
    }

    noncurrent_version_expiration {
      noncurrent_days = 7
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.rescue]
}

data "aws_iam_policy_document" "rescue" {
  statement {
    sid       = "NotInTheClear"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [var.deployment.rescue_arn, "${var.deployment.rescue_arn}/*"]

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

resource "aws_s3_bucket_policy" "rescue" {
  bucket     = aws_s3_bucket.rescue.id
  policy     = data.aws_iam_policy_document.rescue.json
  depends_on = [aws_s3_bucket_public_access_block.rescue]
}
