# One key for stored data: table, cache, logs, topic, images, rescued outboxes. The machines' disks use EBS' own key, because
# Auto Scaling would need a grant on this one.

resource "aws_kms_key" "main" {
  description             = "${var.deployment.name}: data at rest"
  enable_key_rotation     = true
  deletion_window_in_days = var.deployment.keep ? 30 : 7
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "main" {
  name          = "alias/${var.deployment.name}"
  target_key_id = aws_kms_key.main.key_id
}

# In a key's own policy, "*" is that key.
data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:the account's administrators administer the key; in a key policy "*" is this key only
  #checkov:skip=CKV_AWS_111:administrators may write to the key that has this policy, and to nothing else
  #checkov:skip=CKV_AWS_356:a key policy can name no other resource than "*", which is its key
  statement {
    sid       = "Administrators"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${var.deployment.partition}:iam::${var.deployment.account}:root"]
    }
  }

  # Like AWS' managed keys: a principal that may use the table (or the bucket, ...) may use the key, but only through that
  # service. So no role here has a right on keys.
  statement {
    sid       = "ThroughTheServices"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey", "kms:CreateGrant"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:CallerAccount"
      values   = [var.deployment.account]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for service in concat(["dynamodb", "s3", "ecr", "elasticache"], var.encrypted) : "${service}.${var.deployment.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.deployment.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["${var.deployment.arn.logs}:log-group:/${var.deployment.name}/*", "${var.deployment.arn.logs}:log-group:aws-waf-logs-${var.deployment.name}"]
    }
  }

  statement {
    sid       = "Alarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.deployment.account]
    }
  }
}
