variable "names" {
  description = "Output `name` of the module names."
  type        = object({ lake = string, results = string, database = string })
}

variable "arns" {
  description = "Output `arn` of the module names."
  type        = object({ lake = string, results = string, stream = string })
}

variable "settings" {
  description = "The variable `lake` of the deployment."
  type = object({
    scan_gb  = optional(number, 100)
    years    = optional(string, "2026,2036")
    firehose = optional(bool, false)
    raw_days = optional(number, 90)
  })
}

variable "platform" {
  description = "Output `platform` of the deployment."
  type = object({
    name            = string
    account         = string
    keep            = bool
    moto            = bool
    key_arn         = string
    alarm_topic_arn = string
    log_arn         = string
    log_group       = string
  })
}

variable "stream_arn" {
  description = "The stream that Firehose reads, once it exists; null without Firehose."
  type        = string
}
