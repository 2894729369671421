variable "settings" {
  description = "The variable `processors` of the deployment."
  type = object({
    runs_on       = optional(string, "ec2")
    min           = optional(number, 2)
    max           = optional(number, 6)
    instance_type = optional(string, "t3.small")
    outbox_gb     = optional(number, 8)
    cpu           = optional(number, 1024)
    memory        = optional(number, 2048)
  })
}

variable "platform" {
  description = "Output `platform` of the deployment."
  type = object({
    name               = string
    region             = string
    account            = string
    moto               = bool
    alarm_topic_arn    = string
    subnet_ids         = list(string)
    processor_group_id = string
    processor_rights   = list(object({ sid = string, actions = list(string), resources = list(string) }))
    log_arn            = string
    log_group          = string
    repository_arn     = string
    image              = string
    architecture       = string
    port               = number
    settings           = map(string)
    tags               = map(string)
    lag                = object({ namespace = string, metric = string, dimensions = map(string), second = number })
    template           = object({ id = string, version = string })
  })
}
