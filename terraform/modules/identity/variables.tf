variable "deployment" {
  description = "Facts of the deployment: its names, and what is switched on."
  type = object({
    name              = string
    region            = string
    account           = string
    partition         = string
    keep              = bool
    arn               = map(string)
    table_arn         = string
    table_actions     = map(list(string))
    rescue_arn        = string
    log_groups        = map(string)
    images_of         = map(list(string))
    users_of_settings = set(string)
    settings_path     = map(string)
    redis_arns        = list(string)
  })
}

variable "encrypted" {
  description = "Output `encrypted` of the module names."
  type        = list(string)
}

variable "statements" {
  description = "Output `statements` of the module names."
  type        = map(list(object({ sid = string, actions = list(string), resources = list(string) })))
}
