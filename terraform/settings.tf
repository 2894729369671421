# The service's settings, in SSM Parameter Store, by role: /NAME/ROLE/CACHE_URL is AGGREGATOR_CACHE_URL. Machines read them
# when the service starts. API_KEYS and READ_KEYS, the only secrets, are put there by hand (README), so that they are in no
# state and no plan.

locals {
  settings_path = { for role in local.users_of_settings : role => "/${local.name}/${role}" }

  common_settings = merge(
    {
      CACHE_URL = join("", [
        "rediss://${local.redis_user}@${module.data.redis_address}:6379/0",
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
  machine_settings    = { for role in local.users_of_settings : role => local.role_settings[role] } # a task has them in its definition
  balancer_s_networks = join(",", [for zone in local.zones : cidrsubnet(var.vpc_cidr, 4, local.zone[zone])])
  mock_setting = join(",", [
    for name, port in { exchange1 = 8081, exchange2 = 8082, exchange3 = 8083 } :
    "${name}=mock+http://${name}.${local.domain}:${port}"
  ])
  exchanges_setting = coalesce(var.exchanges, local.mock_setting)
  hot_interval      = tonumber(lookup(var.settings, "HOT_INTERVAL", "5")) # used by alarms and scaling
}
