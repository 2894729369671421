variable "region" {
  description = "AWS region."
  type        = string
}

variable "name" {
  description = "As `name` of the deployment: the roles may change what begins with it."
  type        = string
  default     = "prices"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,11}[a-z0-9]$", var.name))
    error_message = "3 to 13 lower-case letters, digits and dashes."
  }
}

variable "state_bucket" {
  description = "Name of the bucket of states."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the bucket of states refuses to be deleted with what is in it."
  type        = bool
  default     = true
}

variable "environments" {
  description = "Environments of the repository that may deploy. Each ENVIRONMENT-plan may read only."
  type        = list(string)
  default     = ["production"]
}

variable "github_repository" {
  description = "OWNER/NAME of the repository whose workflows get roles by OIDC. None: no roles."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9_.-]+$", var.github_repository))
    error_message = "OWNER/NAME."
  }
}

variable "oidc_provider_arn" {
  description = "GitHub's OIDC provider, if the account has it already: there can be only one."
  type        = string
  default     = null
}
