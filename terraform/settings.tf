# The service's settings, in SSM Parameter Store, by role: /NAME/ROLE/CACHE_URL is AGGREGATOR_CACHE_URL. Machines read them
# when the service starts. API_KEYS and READ_KEYS, the only secrets, are put there by hand (README), so that they are in no
# state and no plan.

locals {
  settings_path = { for role in local.users_of_settings : role => "/${local.name}/${role}" }

  redis_address = one(concat(aws_elasticache_replication_group.main[*].primary_endpoint_address, local.moto ? ["moto"] : []))
  common_settings = merge(
    {
      CACHE_URL = join("", [
        "rediss://${local.redis_user}@${local.redis_address}:6379/0",
        "?iam=${local.redis_id}&region=${var.region}",
      ])
      HISTORY_URL = "dynamodb://${local.table}?region=${var.region}"
      HOST        = "0.0.0.0" # the security groups decide who can connect
      # The balancer's own name, which nobody else can point to another address, and the machine itself.
      # Health checks and Prometheus call by IP address, which needs none of these.
      ALLOWED_HOSTS = join(",", concat(var.hostnames, [
        "*.${var.region}.elb.${data.aws_partition.current.dns_suffix}", "localhost", "127.0.0.1",
      ]))
      PORT        = tostring(local.port)
      LOG_FORMAT  = "json"
      OUTBOX_PATH = "/data/outbox.db"
    },
    var.retention_days == 0 ? {} : { RETENTION_DAYS = tostring(var.retention_days) },
    var.settings,
  )
  role_settings = {
    api = merge(module.names.settings["api"], { TRUSTED_PROXIES = local.balancer_s_networks }, local.common_settings, {
      ROLE    = "api"
      WORKERS = tostring(var.api.workers)
    })
    refresher = merge(module.names.settings["refresher"], local.common_settings, { ROLE = "refresher", EXCHANGES = local.exchanges_setting })
    processor = merge(lookup(module.names.settings, "processor", {}), local.common_settings, { ROLE = "processor" })
  }
  balancer_s_networks = join(",", [for zone in local.zones : cidrsubnet(var.vpc_cidr, 4, local.zone[zone])])
  mock_setting = join(",", [
    for name, port in { exchange1 = 8081, exchange2 = 8082, exchange3 = 8083 } :
    "${name}=mock+http://${name}.${local.domain}:${port}"
  ])
  exchanges_setting = coalesce(var.exchanges, local.mock_setting)
  hot_interval      = tonumber(lookup(var.settings, "HOT_INTERVAL", "5")) # used by alarms and scaling

  # Names only: one value is not known before Redis exists, and `for_each` needs known values.
  parameters = merge([
    for role in local.users_of_settings : { for name in keys(local.role_settings[role]) : "${role}/${name}" => { role = role, name = name } }
  ]...)
}

resource "aws_ssm_parameter" "setting" {
  #checkov:skip=CKV2_AWS_34:none of these is secret, and as plain strings a plan shows what will change
  #checkov:skip=CKV_AWS_337:likewise
  for_each = local.parameters
  name     = "${local.settings_path[each.value.role]}/${each.value.name}"
  type     = "String"
  value    = local.role_settings[each.value.role][each.value.name]

  lifecycle {
    precondition {
      condition     = var.mock_exchanges || var.exchanges != null
      error_message = "Without mock_exchanges, name real ones in exchanges: \"binance,coinbase,kraken\"."
    }
    precondition {
      condition     = var.exchanges == null || var.nat_gateways != "none"
      error_message = "Real exchanges are on the internet: set nat_gateways to one or each_zone."
    }
    precondition {
      condition     = !local.processing || (var.streaming != null && var.fanout != null)
      error_message = "Processors read a stream and write to tables: set streaming = {} and fanout = {}."
    }
    precondition {
      condition     = !local.processing || try(var.processors.max <= var.streaming.shards, true)
      error_message = "Processors beyond the number of shards have nothing to do: processors.max must not be above streaming.shards."
    }
    precondition {
      condition     = !try(var.lake.firehose, false) || var.streaming != null
      error_message = "Firehose reads the stream: set streaming = {}."
    }
  }
}
