variable "name" {
  description = "Prefix of every name: NAME-ENVIRONMENT."
  type        = string
}

variable "region" {
  description = "AWS region."
  type        = string
}

variable "account" {
  description = "Number of the account."
  type        = string
}

variable "partition" {
  description = "aws, or another partition."
  type        = string
}

variable "trade_feeds" {
  description = "Whether the refreshers take trades from the exchanges (TRADE_FEEDS)."
  type        = bool
  default     = false
}

variable "kafka_log" {
  description = "Whether the log of trades is MSK's topic (TRADES_LOG), not Kinesis."
  type        = bool
  default     = false
}

variable "streaming" {
  description = "As the variable of the deployment; null: off."
  type        = any
}

variable "processors" {
  description = "As the variable of the deployment; null: off."
  type        = any
}

variable "fanout" {
  description = "As the variable of the deployment; null: off."
  type        = any
}

variable "lake" {
  description = "As the variable of the deployment; null: off."
  type        = any
}
