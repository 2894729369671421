variable "names" {
  description = "Output `name` of the module names."
  type        = object({ stream = string, leases = string })
}

variable "settings" {
  description = "The variable `streaming` of the deployment."
  type = object({
    shards          = optional(number)
    retention_hours = optional(number, 24)
    msk_serverless  = optional(bool, false)
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
    vpc_id          = string
    subnet_ids      = list(string)
    kafka_clients   = map(string)
    lag             = object({ namespace = string, metric = string, dimensions = map(string), second = number })
  })
}
