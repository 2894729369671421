# The tables, by projection: Athena computes the partitions from their ranges, so no crawler runs and no partition is added.

locals {
  columns = jsondecode(file("${path.module}/columns.json")) # dataset => columns in order, as Athena's types
  partitions = {
    year  = { range = var.settings.years, digits = 4 }
    month = { range = "1,12", digits = 2 }
    day   = { range = "1,31", digits = 2 }
    hour  = { range = "0,23", digits = 2 }
  }
  partition_names = ["year", "month", "day", "hour"]
}

resource "aws_glue_catalog_database" "main" {
  name        = var.names.database
  description = "Archive of ${var.platform.name}"
}

resource "aws_glue_catalog_table" "dataset" {
  for_each      = local.columns
  name          = replace(each.key, "-", "_")
  database_name = aws_glue_catalog_database.main.name
  description   = "${each.key} by hour of the event (UTC)"
  table_type    = "EXTERNAL_TABLE"

  parameters = merge(
    {
      EXTERNAL                    = "TRUE"
      classification              = "parquet"
      "projection.enabled"        = "true"
      "storage.location.template" = "s3://${var.names.lake}/${each.key}/${join("/", [for name in local.partition_names : "${name}=$${${name}}"])}"
    },
    { for name in local.partition_names : "projection.${name}.type" => "integer" },
    { for name in local.partition_names : "projection.${name}.range" => local.partitions[name].range },
    { for name in local.partition_names : "projection.${name}.digits" => tostring(local.partitions[name].digits) },
  )

  dynamic "partition_keys" {
    for_each = local.partition_names

    content {
      name = partition_keys.value
      type = "int"
    }
  }

  storage_descriptor {
    location      = "s3://${var.names.lake}/${each.key}/"
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = each.value

      content {
        name = columns.value.name
        type = columns.value.type
      }
    }
  }
}

# Results are encrypted and bounded, whatever a client asks for.
resource "aws_athena_workgroup" "main" {
  name          = var.platform.name
  description   = "Queries of the archive"
  force_destroy = !var.platform.keep

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.settings.scan_gb * 1024 * 1024 * 1024

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = "s3://${aws_s3_bucket.main["results"].bucket}/results/"

      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.platform.key_arn
      }
    }
  }
}

resource "aws_athena_named_query" "main" {
  for_each    = { for file in fileset("${path.module}/queries", "*.sql") : trimsuffix(file, ".sql") => file if !var.platform.moto } # moto cannot delete them
  name        = each.key
  description = trimprefix(split("\n", file("${path.module}/queries/${each.value}"))[0], "-- ")
  workgroup   = aws_athena_workgroup.main.id
  database    = aws_glue_catalog_database.main.name
  query       = file("${path.module}/queries/${each.value}")
}

resource "aws_cloudwatch_metric_alarm" "scanned" {
  alarm_name          = "${var.platform.name}-lake-scanned"
  alarm_description   = "Queries have scanned ten times the limit of one query within an hour; each terabyte is about 5 dollars."
  namespace           = "AWS/Athena"
  metric_name         = "ProcessedBytes"
  dimensions          = { WorkGroup = aws_athena_workgroup.main.name }
  statistic           = "Sum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 10 * var.settings.scan_gb * 1024 * 1024 * 1024
  period              = 3600
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.platform.alarm_topic_arn]
  ok_actions          = [var.platform.alarm_topic_arn]
}
