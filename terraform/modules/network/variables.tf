variable "deployment" {
  description = "Facts of the deployment: its names, and what is switched on."
  type = object({
    name          = string
    region        = string
    account       = string
    partition     = string
    moto          = bool
    zones         = list(string)
    zone          = map(number)
    domain        = string
    monitored     = bool
    port          = number
    table_arn     = string
    table_actions = map(list(string))
    rescue_arn    = string
    processing    = bool
  })
}

variable "allowed_cidrs" {
  description = "As the variable of the deployment."
  type        = list(string)
}

variable "certificate_arn" {
  description = "As the variable of the deployment."
  type        = string
}

variable "endpoint_zones" {
  description = "As the variable of the deployment."
  type        = string
}

variable "flow_role_arn" {
  description = "Role that writes the log of refused connections."
  type        = string
}

variable "gateway" {
  description = "Output `gateway` of the module names."
  type        = map(list(object({ actions = list(string), resources = list(string) })))
}

variable "interfaces" {
  description = "Output `interfaces` of the module names."
  type        = list(string)
}

variable "log_group_arns" {
  description = "Output `log_group_arns` of the module monitoring."
  type        = map(string)
}

variable "nat_gateways" {
  description = "As the variable of the deployment."
  type        = string
}

variable "session_manager" {
  description = "As the variable of the deployment."
  type        = bool
}

variable "vpc_cidr" {
  description = "As the variable of the deployment."
  type        = string
}
