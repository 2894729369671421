variable "deployment" {
  description = "Facts of the deployment: its names, and what is switched on."
  type = object({
    name                = string
    region              = string
    account             = string
    partition           = string
    moto                = bool
    keep                = bool
    zones               = list(string)
    domain              = string
    running             = bool
    monitored           = bool
    exchanges           = map(number)
    port                = number
    registry            = string
    image               = string
    project             = string
    environment         = string
    tags                = map(string)
    group_tags          = map(string)
    rescue              = string
    log_groups          = map(string)
    users_of_settings   = set(string)
    settings_path       = map(string)
    processing_machines = bool
    hot_interval        = number
  })
}

variable "ami_id" {
  description = "As the variable of the deployment."
  type        = string
}

variable "api" {
  description = "As the variable of the deployment."
  type        = object({ instance_type = string, min = number, max = number })
}

variable "architecture" {
  description = "As the variable of the deployment."
  type        = string
}

variable "certificate_arn" {
  description = "As the variable of the deployment."
  type        = string
}

variable "group_ids" {
  description = "Security groups by name: output of the module network."
  type        = map(string)
}

variable "keep_outbox_volumes" {
  description = "As the variable of the deployment."
  type        = bool
}

variable "key_arn" {
  description = "Key of stored data: output of the module identity."
  type        = string
}

variable "log_days" {
  description = "As the variable of the deployment."
  type        = number
}

variable "log_group_arns" {
  description = "Output `log_group_arns` of the module monitoring."
  type        = map(string)
}

variable "monitoring" {
  description = "As the variable of the deployment; null: none."
  type        = object({ prometheus_digest = string, grafana_digest = string, instance_type = string, disk_gb = number })
}

variable "private_subnets" {
  description = "Ids of the private subnets by zone: output of the module network."
  type        = map(string)
}

variable "processors" {
  description = "As the variable of the deployment; null: none."
  type        = object({ runs_on = string, instance_type = string, outbox_gb = number })
}

variable "profiles" {
  description = "Instance profiles by kind of machine: output of the module identity."
  type        = map(object({ arn = string, name = string }))
}

variable "public_subnets" {
  description = "Ids of the public subnets by zone: output of the module network."
  type        = map(string)
}

variable "ready" {
  description = "What must exist before a machine starts: rights, endpoints, settings."
  type        = any
}

variable "refresher" {
  description = "As the variable of the deployment."
  type        = object({ instance_type = string, min = number, max = number, outbox_gb = number })
}

variable "role_settings" {
  description = "Settings of the service by role."
  type        = map(map(string))
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "waf" {
  description = "As the variable of the deployment."
  type        = bool
}

variable "waf_rate" {
  description = "As the variable of the deployment."
  type        = number
}

variable "zone_id" {
  description = "The private zone."
  type        = string
}
