# The service: each module has one part. They give each other ids of resources; names are composed in locals.tf.

module "network" {
  source          = "./modules/network"
  deployment      = local.deployment
  allowed_cidrs   = var.allowed_cidrs
  certificate_arn = var.certificate_arn
  endpoint_zones  = var.endpoint_zones
  flow_role_arn   = module.identity.flow_role_arn
  gateway         = module.names.gateway
  interfaces      = module.names.interfaces
  log_group_arns  = module.monitoring.log_group_arns
  nat_gateways    = var.nat_gateways
  session_manager = var.session_manager
  vpc_cidr        = var.vpc_cidr
}

module "identity" {
  source     = "./modules/identity"
  deployment = local.deployment
  encrypted  = module.names.encrypted
  statements = module.names.statements
}

module "data" {
  source          = "./modules/data"
  deployment      = local.deployment
  group_ids       = module.network.group_ids
  key_arn         = module.identity.key_arn
  private_subnets = module.network.private_subnets
  redis           = var.redis
  role_settings   = local.machine_settings
}

module "compute" {
  source              = "./modules/compute"
  deployment          = local.deployment
  ami_id              = var.ami_id
  api                 = var.api
  architecture        = var.architecture
  certificate_arn     = var.certificate_arn
  group_ids           = module.network.group_ids
  keep_outbox_volumes = var.keep_outbox_volumes
  key_arn             = module.identity.key_arn
  log_days            = var.log_days
  log_group_arns      = module.monitoring.log_group_arns
  monitoring          = var.monitoring
  private_subnets     = module.network.private_subnets
  processors          = var.processors
  profiles            = module.identity.profiles
  public_subnets      = module.network.public_subnets
  ready               = concat(module.identity.policies, module.network.endpoints, module.data.settings)
  refresher           = var.refresher
  role_settings       = local.machine_settings
  vpc_id              = module.network.vpc_id
  waf                 = var.waf
  waf_rate            = var.waf_rate
  zone_id             = module.network.zone_id
}

module "monitoring" {
  source          = "./modules/monitoring"
  deployment      = local.deployment
  alarm_email     = var.alarm_email
  ami             = module.compute.ami
  balancer        = module.compute.balancer
  group_ids       = module.network.group_ids
  key_arn         = module.identity.key_arn
  log_days        = var.log_days
  monitoring      = var.monitoring
  monthly_budget  = var.monthly_budget
  private_subnets = module.network.private_subnets
  profiles        = module.identity.profiles
  ready           = concat(module.identity.policies, module.network.endpoints)
  user_data       = lookup(module.compute.user_data, "monitoring", null)
  waf             = var.waf
}

check "https" {
  assert {
    condition     = var.certificate_arn != null
    error_message = "No certificate_arn: prices and API keys are sent unencrypted. Use this for a trial only."
  }
}
