variable "region" {
  description = "AWS region."
  type        = string
}

variable "environment" {
  description = "As `environment` of the deployment."
  type        = string
}

variable "state_bucket" {
  description = "Bucket of the states."
  type        = string
}

variable "state_path_style" {
  description = "Whether the bucket's name is in the path of its address: for imitations of S3 only."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Whether what has data refuses to be deleted. None: as in the stage foundation."
  type        = bool
  default     = null
}
