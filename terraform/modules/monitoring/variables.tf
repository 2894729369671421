variable "deployment" {
  description = "Facts of the deployment: its names, and what is switched on."
  type = object({
    name         = string
    account      = string
    moto         = bool
    zones        = list(string)
    running      = bool
    monitored    = bool
    arn          = map(string)
    project      = string
    table        = string
    redis_id     = string
    log_groups   = map(string)
    hot_interval = number
  })
}

variable "alarm_email" {
  description = "As the variable of the deployment."
  type        = string
}

variable "ami" {
  description = "Image of the machine."
  type        = string
}

variable "balancer" {
  description = "The load balancer and its target group, as CloudWatch names them."
  type        = object({ name = string, target = string })
}

variable "group_ids" {
  description = "Security groups by name: output of the module network."
  type        = map(string)
}

variable "key_arn" {
  description = "Key of stored data: output of the module identity."
  type        = string
}

variable "log_days" {
  description = "As the variable of the deployment."
  type        = number
}

variable "monitoring" {
  description = "As the variable of the deployment; null: none."
  type        = object({ prometheus_digest = string, grafana_digest = string, instance_type = string, disk_gb = number })
}

variable "monthly_budget" {
  description = "As the variable of the deployment."
  type        = number
}

variable "private_subnets" {
  description = "Ids of the private subnets by zone: output of the module network."
  type        = map(string)
}

variable "profiles" {
  description = "Instance profiles by kind of machine: output of the module identity."
  type        = map(object({ arn = string, name = string }))
}

variable "ready" {
  description = "What must exist before a machine starts: rights, endpoints, settings."
  type        = any
}

variable "user_data" {
  description = "Start of the machine; null without one."
  type        = string
}

variable "waf" {
  description = "As the variable of the deployment."
  type        = bool
}
