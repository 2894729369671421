# ---------------------------------------------------------------- where, and under what name

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region looks like eu-west-1."
  }
}

variable "name" {
  description = "Prefix of every name, and the tag Project."
  type        = string
  default     = "prices"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,11}[a-z0-9]$", var.name))
    error_message = "3 to 13 lower-case letters, digits and dashes: names of load balancers end at 32."
  }
}

variable "environment" {
  description = "Part of every name, so that several environments can be in one account."
  type        = string
  default     = "production"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "2 to 12 lower-case letters and digits."
  }
}

variable "tags" {
  description = "More tags for everything, for example Owner and CostCenter."
  type        = map(string)
  default     = {}
}

# ---------------------------------------------------------------- what runs

variable "image_digest" {
  description = "Digest of the image in the repository `aggregator`. None: everything but the machines is made, so that there is a repository to push to."
  type        = string
  default     = null

  validation {
    condition     = var.image_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "A digest is sha256: and 64 hexadecimal digits; not a tag, because a tag can be moved."
  }
}

variable "monitoring" {
  description = "Digests of the images in the repositories `prometheus` and `grafana`. None: no monitoring machine."
  type = object({
    prometheus_digest = string
    grafana_digest    = string
    instance_type     = optional(string, "t3.small")
    disk_gb           = optional(number, 20)
  })
  default = null

  validation {
    condition = var.monitoring == null || alltrue([
      for digest in [try(var.monitoring.prometheus_digest, ""), try(var.monitoring.grafana_digest, "")] :
      can(regex("^sha256:[0-9a-f]{64}$", digest))
    ])
    error_message = "A digest is sha256: and 64 hexadecimal digits."
  }
}

variable "mock_exchanges" {
  description = "Run three mock exchanges, each on its own machine. Without them, name real ones in `exchanges`."
  type        = bool
  default     = true
}

variable "exchanges" {
  description = "AGGREGATOR_EXCHANGES, for example binance,coinbase,kraken. None: the mock exchanges."
  type        = string
  default     = null
}

variable "settings" {
  description = "More settings of the service, named without AGGREGATOR_: {HOT_SIZE = 50}. Put secrets into SSM by hand, see README."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : can(regex("^[A-Z][A-Z_]*$", name))])
    error_message = "Names are like HOT_SIZE."
  }

  validation {
    condition     = length(setintersection(keys(var.settings), ["API_KEYS", "READ_KEYS", "CACHE_URL", "HISTORY_URL", "HOST", "PORT", "ROLE", "OUTBOX_PATH"])) == 0
    error_message = "Keys are secret: put them into SSM by hand (README). This configuration sets the others."
  }

  validation {
    condition     = alltrue([for value in values(var.settings) : length(value) <= 2000 && can(regex("^[^\\r\\n\\t]+$", value))])
    error_message = "A value is one line of 1 to 2000 characters without tabs."
  }
}

variable "architecture" {
  description = "Of the machines and of the image: x86_64, or arm64 (and instance types that end in g)."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "x86_64 or arm64."
  }
}

variable "ami_id" {
  description = "Amazon Linux 2023 image. None: the newest, so that a plan shows a rolling replacement when there are patches."
  type        = string
  default     = null
}

variable "api" {
  description = "Machines that answer requests; workers is the number of processes on each."
  type = object({
    instance_type = optional(string, "t3.small")
    min           = optional(number, 2)
    max           = optional(number, 6)
    workers       = optional(number, 2)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.api.min >= 1 && var.api.max >= var.api.min && var.api.max <= 50
    error_message = "1 <= min <= max <= 50."
  }
}

variable "refresher" {
  description = "Refreshers; outbox_gb is the size of the disk on which prices wait for DynamoDB."
  type = object({
    instance_type = optional(string, "t3.small")
    min           = optional(number, 2)
    max           = optional(number, 6)
    outbox_gb     = optional(number, 8)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.refresher.min >= 1 && var.refresher.max >= var.refresher.min && var.refresher.max <= 50
    error_message = "1 <= min <= max <= 50."
  }

  validation {
    condition     = var.refresher.outbox_gb >= 4
    error_message = "At least 4 GB: the outbox may hold 1 GiB, and its log beside it."
  }
}

variable "keep_outbox_volumes" {
  description = "Keep the outbox volume of an ended refresher, even after draining. It costs until you delete it."
  type        = bool
  default     = false
}

# ---------------------------------------------------------------- stores

variable "redis" {
  description = "ElastiCache: node type, and a second node in the other zone as a replacement."
  type = object({
    node_type = optional(string, "cache.t4g.small")
    multi_az  = optional(bool, true)
  })
  default  = {}
  nullable = false
}

variable "retention_days" {
  description = "Days after which DynamoDB forgets a price. 0 keeps all, and the cost grows without limit."
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 0 && var.retention_days <= 36500
    error_message = "0 to 36500 days."
  }
}

variable "deletion_protection" {
  description = "Whether the table and the load balancer refuse to be deleted, and buckets to be deleted with what is in them."
  type        = bool
  default     = true
}

# ---------------------------------------------------------------- network

variable "vpc_cidr" {
  description = "Addresses of the VPC; a /16 to /20 that no connected network uses."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))
    error_message = "A CIDR block from /16 to /20."
  }
}

variable "nat_gateways" {
  description = "none: no machine reaches the internet (enough for mock exchanges); one; or each_zone, which survives the loss of a zone."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "one", "each_zone"], var.nat_gateways)
    error_message = "none, one or each_zone."
  }
}

variable "endpoint_zones" {
  description = "Zones of the interface endpoints, which cost by the hour and zone. running: both for what a running process calls, the first for starts and sessions; each_zone: both for all; one: the first for all."
  type        = string
  default     = "running"

  validation {
    condition     = contains(["running", "each_zone", "one"], var.endpoint_zones)
    error_message = "endpoint_zones: running, each_zone or one."
  }
}

variable "session_manager" {
  description = "Reach machines, Prometheus and Grafana through Session Manager, which needs an endpoint. Without it nothing reaches them."
  type        = bool
  default     = true
}

variable "allowed_cidrs" {
  description = "Networks that may reach the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "A list of CIDR blocks."
  }
}

variable "certificate_arn" {
  description = "Certificate (ACM, same region) for HTTPS. None: plain HTTP, with a warning at every plan."
  type        = string
  default     = null

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.certificate_arn))
    error_message = "arn:aws:acm:REGION:ACCOUNT:certificate/ID."
  }
}

variable "hostnames" {
  description = "Names of the load balancer, such as those of the certificate; *.example.com for all below it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.hostnames : can(regex("^([*][.])?[a-z0-9-]+([.][a-z0-9-]+)*$", name))])
    error_message = "Names are like prices.example.com or *.example.com."
  }
}

variable "waf" {
  description = "Put AWS WAF in front: known bad requests, and at most waf_rate requests from an address in five minutes."
  type        = bool
  default     = false
}

variable "waf_rate" {
  description = "Requests from one address in five minutes, with waf."
  type        = number
  default     = 30000

  validation {
    condition     = var.waf_rate >= 10 && var.waf_rate <= 2000000000
    error_message = "10 to 2,000,000,000."
  }
}

# ---------------------------------------------------------------- alarms and budget

variable "alarm_email" {
  description = "Receives alarms and budget messages, after the confirmation mail is answered."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@\\s]+@[^@\\s]+$", var.alarm_email))
    error_message = "An e-mail address."
  }
}

variable "monthly_budget" {
  description = "US dollars a month; a message is sent at 80 % spent and at 100 % forecast."
  type        = number
  default     = 400

  validation {
    condition     = var.monthly_budget > 0
    error_message = "More than 0."
  }
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_days)
    error_message = "One of the terms CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731."
  }
}
