variable "names" {
  description = "Output `name` of the module names."
  type        = object({ trades = string, events = string, queue = string, dead = string })
}

variable "arns" {
  description = "Output `arn` of the module names."
  type        = object({ queue = string, dead = string })
}

variable "settings" {
  description = "The variable `fanout` of the deployment."
  type = object({
    fifo               = optional(bool, false)
    topics             = optional(list(string), ["anomalies", "signals", "alerts"])
    receives           = optional(number, 5)
    visibility_seconds = optional(number, 60)
    age_seconds        = optional(number, 300)
    depth              = optional(number, 10000)
    table_streams      = optional(bool, false)
  })
}

variable "platform" {
  description = "Output `platform` of the deployment."
  type = object({
    name            = string
    keep            = bool
    moto            = bool
    key_arn         = string
    alarm_topic_arn = string
  })
}
