# ---------------------------------------------------------------- the trade stream: all of it is off by default

variable "streaming" {
  description = "Kinesis as the log of trades: on demand, or with `shards`. msk_serverless adds a Kafka cluster, which the service uses where settings.TRADES_LOG names it."
  type = object({
    shards          = optional(number)
    retention_hours = optional(number, 24)
    msk_serverless  = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.streaming == null || try(var.streaming.shards, null) == null || try(var.streaming.shards >= 1 && var.streaming.shards <= 500, false)
    error_message = "shards: 1 to 500, or none for on demand."
  }

  validation {
    condition     = var.streaming == null || try(var.streaming.retention_hours >= 24 && var.streaming.retention_hours <= 8760, false)
    error_message = "retention_hours: 24 to 8760."
  }
}

variable "processors" {
  description = "Processors of the stream, on machines (ec2) or tasks (fargate: cpu and memory in units of Fargate)."
  type = object({
    runs_on       = optional(string, "ec2")
    min           = optional(number, 2)
    max           = optional(number, 6)
    instance_type = optional(string, "t3.small")
    outbox_gb     = optional(number, 8)
    cpu           = optional(number, 1024)
    memory        = optional(number, 2048)
  })
  default = null

  validation {
    condition     = var.processors == null || contains(["ec2", "fargate"], try(var.processors.runs_on, ""))
    error_message = "runs_on: ec2 or fargate."
  }

  validation {
    condition     = var.processors == null || try(var.processors.min >= 1 && var.processors.max >= var.processors.min && var.processors.max <= 50, false)
    error_message = "1 <= min <= max <= 50."
  }

  validation {
    condition     = var.processors == null || try(var.processors.outbox_gb >= 4, false)
    error_message = "outbox_gb: at least 4."
  }
}

variable "fanout" {
  description = "Tables of trades and events, and a queue (SQS) of the events of `topics` with a dead-letter queue after `receives` attempts."
  type = object({
    fifo               = optional(bool, false)
    topics             = optional(list(string), ["anomalies", "signals", "alerts"])
    receives           = optional(number, 5)
    visibility_seconds = optional(number, 60)
    age_seconds        = optional(number, 300)
    depth              = optional(number, 10000)
    table_streams      = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.fanout == null || try(var.fanout.receives >= 1 && var.fanout.receives <= 1000, false)
    error_message = "receives: 1 to 1000."
  }

  validation {
    condition     = var.fanout == null || try(length(var.fanout.topics) > 0 && length(setsubtract(var.fanout.topics, ["prices", "trades", "anomalies", "signals", "sentiment", "alerts"])) == 0, false)
    error_message = "topics: prices, trades, anomalies, signals, sentiment, alerts."
  }

  validation {
    condition     = var.fanout == null || try(var.fanout.visibility_seconds >= 1 && var.fanout.visibility_seconds <= 43200, false)
    error_message = "visibility_seconds: 1 to 43200."
  }
}

variable "lake" {
  description = "The archive: bucket, Glue tables for `years`, Athena that scans at most `scan_gb` a query; firehose keeps raw records for raw_days."
  type = object({
    scan_gb  = optional(number, 100)
    years    = optional(string, "2026,2036")
    firehose = optional(bool, false)
    raw_days = optional(number, 90)
  })
  default = null

  validation {
    condition     = var.lake == null || try(var.lake.scan_gb >= 1 && var.lake.scan_gb <= 10000, false)
    error_message = "scan_gb: 1 to 10000."
  }

  validation {
    condition     = var.lake == null || can(regex("^20[0-9]{2},20[0-9]{2}$", try(var.lake.years, "")))
    error_message = "years: first and last, as 2026,2036."
  }

  validation {
    condition     = var.lake == null || try(var.lake.raw_days >= 1, false)
    error_message = "raw_days: at least 1."
  }
}

variable "staged" {
  description = "Make only network, rights and settings of the trade stream here; terraform/stages makes the rest."
  type        = bool
  default     = false
}
