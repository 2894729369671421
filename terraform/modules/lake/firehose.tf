# The records of the stream as they came, one in a line, if wanted: what a producer sent can be looked up, also what was
# refused as a trade.

locals {
  firehose = var.settings.firehose ? { raw = "${var.platform.name}-raw" } : {}
}

data "aws_iam_policy_document" "firehose_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["firehose.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.platform.account]
    }
  }
}

data "aws_iam_policy_document" "firehose" {
  statement {
    sid       = "ReadTheStream"
    actions   = ["kinesis:DescribeStream", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
    resources = [var.arns.stream]
  }

  statement {
    sid       = "SeeTheBucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [var.arns.lake]
  }

  statement {
    sid       = "WriteRawRecords"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.arns.lake}/raw/*", "${var.arns.lake}/raw-errors/*"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:PutLogEvents"]
    resources = ["${var.platform.log_arn}:log-group:${var.platform.log_group}:log-stream:firehose"]
  }
}

resource "aws_iam_role" "firehose" {
  for_each           = local.firehose
  name               = each.value
  assume_role_policy = data.aws_iam_policy_document.firehose_trust.json
}

resource "aws_iam_role_policy" "firehose" {
  for_each = local.firehose
  name     = "what-it-calls"
  role     = aws_iam_role.firehose[each.key].id
  policy   = data.aws_iam_policy_document.firehose.json
}

resource "aws_cloudwatch_log_stream" "firehose" {
  for_each       = local.firehose
  name           = "firehose"
  log_group_name = var.platform.log_group
}

resource "aws_kinesis_firehose_delivery_stream" "raw" {
  #checkov:skip=CKV_AWS_240:its source is a stream, which is encrypted; this option is for records that are put directly
  #checkov:skip=CKV_AWS_241:a key of our own is for records that are put directly, too; those of the stream have the stream's
  for_each    = local.firehose
  name        = each.value
  destination = "extended_s3"

  kinesis_source_configuration {
    kinesis_stream_arn = var.stream_arn
    role_arn           = aws_iam_role.firehose[each.key].arn
  }

  extended_s3_configuration {
    role_arn            = aws_iam_role.firehose[each.key].arn
    bucket_arn          = aws_s3_bucket.main["lake"].arn
    prefix              = "raw/year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/"
    error_output_prefix = "raw-errors/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/"
    buffering_size      = 64
    buffering_interval  = 300
    compression_format  = "GZIP"
    kms_key_arn         = var.platform.key_arn

    cloudwatch_logging_options {
      enabled         = true
      log_group_name  = var.platform.log_group
      log_stream_name = aws_cloudwatch_log_stream.firehose[each.key].name
    }

    processing_configuration { # records have no newline of their own, and one after the other cannot be taken apart
      enabled = true

      processors {
        type = "AppendDelimiterToRecord"

        parameters {
          parameter_name  = "Delimiter"
          parameter_value = "\\n"
        }
      }
    }
  }

  depends_on = [aws_iam_role_policy.firehose]
}

resource "aws_cloudwatch_metric_alarm" "firehose" {
  for_each            = local.firehose
  alarm_name          = "${var.platform.name}-lake-raw-old"
  alarm_description   = "Raw records have waited half an hour for the bucket."
  namespace           = "AWS/Firehose"
  metric_name         = "DeliveryToS3.DataFreshness"
  dimensions          = { DeliveryStreamName = each.value }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 1800
  period              = 300
  evaluation_periods  = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.platform.alarm_topic_arn]
  ok_actions          = [var.platform.alarm_topic_arn]
}
