variable "deployment" {
  description = "Facts of the deployment: its names, and what is switched on."
  type = object({
    name          = string
    moto          = bool
    keep          = bool
    zones         = list(string)
    table         = string
    redis_id      = string
    redis_user    = string
    rescue        = string
    rescue_arn    = string
    settings_path = map(string)
  })
}

variable "group_ids" {
  description = "Security groups by name: output of the module network."
  type        = map(string)
}

variable "key_arn" {
  description = "Key of stored data: output of the module identity."
  type        = string
}

variable "private_subnets" {
  description = "Ids of the private subnets by zone: output of the module network."
  type        = map(string)
}

variable "redis" {
  description = "As the variable of the deployment."
  type        = object({ node_type = string, multi_az = bool })
}

variable "role_settings" {
  description = "Settings of the service by role."
  type        = map(map(string))
}
