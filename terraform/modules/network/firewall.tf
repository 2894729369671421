# The allowed connections between groups. Only the load balancer is open to the internet. There is no SSH.

locals {
  groups = merge(var.deployment.processing ? { processor = "processors of the trade stream" } : {}, {
    alb        = "the load balancer: the only one that is reached from outside"
    api        = "machines that answer requests"
    refresher  = "machines that ask the exchanges"
    exchanges  = "the invented exchanges"
    monitoring = "Prometheus and Grafana"
    redis      = "ElastiCache"
    endpoints  = "the interface endpoints of AWS services"
  })
  instances = concat(["api", "refresher", "exchanges", "monitoring"], var.deployment.processing ? ["processor"] : [])

  # from -> to, ports
  paths = merge(
    {
      alb-api              = { from = "alb", to = "api", first = var.deployment.port, last = var.deployment.port }
      monitoring-api       = { from = "monitoring", to = "api", first = var.deployment.port, last = var.deployment.port }
      monitoring-refresher = { from = "monitoring", to = "refresher", first = var.deployment.port, last = var.deployment.port }
      refresher-exchanges  = { from = "refresher", to = "exchanges", first = 8081, last = 8083 }
      api-redis            = { from = "api", to = "redis", first = 6379, last = 6379 }
      refresher-redis      = { from = "refresher", to = "redis", first = 6379, last = 6379 }
    },
    var.deployment.processing ? {
      monitoring-processor = { from = "monitoring", to = "processor", first = var.deployment.port, last = var.deployment.port }
      processor-redis      = { from = "processor", to = "redis", first = 6379, last = 6379 }
    } : {},
    { for group in local.instances : "${group}-endpoints" => { from = group, to = "endpoints", first = 443, last = 443 } },
  )
  gateways = {
    for pair in setproduct(local.instances, ["s3", "dynamodb"]) : "${pair[0]}-${pair[1]}" => { from = pair[0], to = pair[1] }
    if pair[1] == "s3" || contains(["api", "refresher", "processor"], pair[0])
  }
}

resource "aws_security_group" "main" {
  #checkov:skip=CKV2_AWS_5:each is on what its name says; the check does not see through for_each
  for_each    = local.groups
  name        = "${var.deployment.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.main.id
  tags        = { Name = "${var.deployment.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "inside" {
  for_each                     = local.paths
  security_group_id            = aws_security_group.main[each.value.to].id
  referenced_security_group_id = aws_security_group.main[each.value.from].id
  description                  = "from ${each.value.from}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.first
  to_port                      = each.value.last
}

resource "aws_vpc_security_group_egress_rule" "inside" {
  for_each                     = local.paths
  security_group_id            = aws_security_group.main[each.value.from].id
  referenced_security_group_id = aws_security_group.main[each.value.to].id
  description                  = "to ${each.value.to}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.first
  to_port                      = each.value.last
}

data "aws_prefix_list" "gateway" {
  for_each = toset(["s3", "dynamodb"])
  name     = "com.amazonaws.${var.deployment.region}.${each.key}"
}

resource "aws_vpc_security_group_egress_rule" "gateway" {
  for_each          = local.gateways
  security_group_id = aws_security_group.main[each.value.from].id
  prefix_list_id    = data.aws_prefix_list.gateway[each.value.to].id
  description       = "to ${each.value.to}"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "exchanges_outside" {
  count             = var.nat_gateways == "none" ? 0 : 1
  security_group_id = aws_security_group.main["refresher"].id
  cidr_ipv4         = "0.0.0.0/0" # real exchanges have no fixed addresses
  description       = "to the exchanges' public addresses"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "feeds_outside" {
  for_each          = toset(var.nat_gateways == "none" ? [] : ["8443", "9443"]) # feeds of OKX, and of Binance
  security_group_id = aws_security_group.main["refresher"].id
  cidr_ipv4         = "0.0.0.0/0" # real exchanges have no fixed addresses
  description       = "to the exchanges' feeds"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_vpc_security_group_egress_rule" "discovery_outside" {
  count             = var.deployment.monitored && var.nat_gateways != "none" ? 1 : 0
  security_group_id = aws_security_group.main["monitoring"].id
  cidr_ipv4         = "0.0.0.0/0" # EC2's own address, where there is no endpoint for it
  description       = "to EC2, for discovery"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "public" {
  #checkov:skip=CKV_AWS_260:80 is open to allowed_cidrs to be redirected to 443, or, without a certificate, with a warning
  for_each = {
    for pair in setproduct(var.allowed_cidrs, var.certificate_arn == null ? [80] : [80, 443]) :
    "${pair[0]}-${pair[1]}" => { cidr = pair[0], port = pair[1] }
  }
  security_group_id = aws_security_group.main["alb"].id
  cidr_ipv4         = each.value.cidr
  description       = "from outside"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}
