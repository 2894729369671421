# The load balancer: the only part that can be reached from outside.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

resource "aws_lb" "main" {
  #checkov:skip=CKV2_AWS_20:it redirects to HTTPS when there is a certificate; without one, every plan warns
  #checkov:skip=CKV2_AWS_76:WAF is optional, by `waf`; with it, known bad inputs such as Log4j's are blocked
  #checkov:skip=CKV2_AWS_28:WAF is optional, by `waf`
  #checkov:skip=CKV_AWS_150:by `deletion_protection`, on by default
  name                       = var.deployment.name
  load_balancer_type         = "application"
  security_groups            = [var.group_ids["alb"]]
  subnets                    = [for zone in var.deployment.zones : var.public_subnets[zone]]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deployment.keep
  idle_timeout               = 60

  access_logs {
    bucket  = aws_s3_bucket.access.id
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.access]
}

# /health, not /ready. /ready fails when prices are old or history cannot be written: a problem of the exchanges or of
# DynamoDB, and so the same on every machine. Taking all machines out would serve nobody, and Auto Scaling, which uses this
# check, would replace working machines by others with the same problem. /health fails when a process has ended or hangs,
# which a new machine repairs. It answers only after a process has opened its stores and caught up. Readiness has alarms.
resource "aws_lb_target_group" "api" {
  #checkov:skip=CKV_AWS_378:plain HTTP between balancer and machines, inside the VPC; TLS ends at the balancer
  name                 = "${var.deployment.name}-api"
  port                 = var.deployment.port
  protocol             = "HTTP"
  vpc_id               = var.vpc_id
  deregistration_delay = 30 # requests take at most 20 s; streams are closed, and their clients reconnect

  health_check {
    path                = "/health"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "http" {
  #checkov:skip=CKV_AWS_2:redirects to HTTPS when there is a certificate; without one, every plan warns
  #checkov:skip=CKV_AWS_103:a listener of plain HTTP has no TLS; the one of HTTPS takes TLS 1.2 and 1.3 only
  load_balancer_arn = aws_lb.main.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = var.certificate_arn == null ? "forward" : "redirect"
    target_group_arn = var.certificate_arn == null ? aws_lb_target_group.api.arn : null

    dynamic "redirect" {
      for_each = var.certificate_arn == null ? [] : [443]

      content {
        protocol    = "HTTPS"
        port        = redirect.value
        status_code = "HTTP_301"
      }
    }
  }
}

resource "aws_lb_listener" "https" {
  count             = var.certificate_arn == null ? 0 : 1
  load_balancer_arn = aws_lb.main.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
}

# ---------------------------------------------------------------- access logs

locals {
  access     = "${var.deployment.name}-access-${var.deployment.account}"
  access_arn = "arn:${var.deployment.partition}:s3:::${local.access}"
}

data "aws_elb_service_account" "current" {
  region = var.deployment.region
}

resource "aws_s3_bucket" "access" {
  #checkov:skip=CKV_AWS_18:this is the log; a log of the log would have no end
  #checkov:skip=CKV_AWS_21:logs are written once
  #checkov:skip=CKV_AWS_144:access logs of a month need no second region
  #checkov:skip=CKV_AWS_145:load balancers can write to buckets with S3's own key only
  #checkov:skip=CKV2_AWS_62:no program waits for a log file
  bucket        = local.access
  force_destroy = !var.deployment.keep
}

resource "aws_s3_bucket_public_access_block" "access" {
  bucket                  = aws_s3_bucket.access.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "access" {
  bucket = aws_s3_bucket.access.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "access" {
  bucket = aws_s3_bucket.access.id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

data "aws_iam_policy_document" "access" {
  statement {
    sid       = "LoadBalancerWrites"
    actions   = ["s3:PutObject"]
    resources = ["${local.access_arn}/AWSLogs/${var.deployment.account}/*"]

    principals {
      type        = "AWS"
      identifiers = [data.aws_elb_service_account.current.arn]
    }
  }

  statement {
    sid       = "NotInTheClear"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.access_arn, "${local.access_arn}/*"]

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

resource "aws_s3_bucket_policy" "access" {
  bucket     = aws_s3_bucket.access.id
  policy     = data.aws_iam_policy_document.access.json
  depends_on = [aws_s3_bucket_public_access_block.access]
}
