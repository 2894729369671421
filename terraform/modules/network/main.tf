# Two zones. Only the load balancer (and NAT gateways, if any) are in the public subnets; everything else is in private
# ones and reaches AWS through VPC endpoints.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
}

resource "aws_vpc" "main" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.deployment.name }
}

# The default security group, used where none is named: it allows no traffic.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "${var.deployment.name}-default-closed" }
}

resource "aws_subnet" "public" {
  for_each          = var.deployment.zone
  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, each.value)
  tags              = { Name = "${var.deployment.name}-public-${each.key}" }
}

resource "aws_subnet" "private" {
  for_each          = var.deployment.zone
  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, 8 + each.value)
  tags              = { Name = "${var.deployment.name}-private-${each.key}" }
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = var.deployment.name }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "${var.deployment.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id
}

resource "aws_route_table_association" "public" {
  for_each       = var.deployment.zone
  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  for_each = var.deployment.zone
  vpc_id   = aws_vpc.main.id
  tags     = { Name = "${var.deployment.name}-private-${each.key}" }
}

resource "aws_route_table_association" "private" {
  for_each       = var.deployment.zone
  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# ---------------------------------------------------------------- NAT, if wanted

locals {
  nat_zones = { none = [], one = [var.deployment.zones[0]], each_zone = var.deployment.zones }[var.nat_gateways]
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)
  domain   = "vpc"
  tags     = { Name = "${var.deployment.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "main" {
  for_each      = toset(local.nat_zones)
  subnet_id     = aws_subnet.public[each.key].id
  allocation_id = aws_eip.nat[each.key].id
  tags          = { Name = "${var.deployment.name}-${each.key}" }
  depends_on    = [aws_internet_gateway.main]
}

resource "aws_route" "nat" {
  for_each               = var.nat_gateways == "none" ? {} : var.deployment.zone
  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.main[var.nat_gateways == "one" ? var.deployment.zones[0] : each.key].id
}

# ---------------------------------------------------------------- private DNS

resource "aws_route53_zone" "internal" {
  #checkov:skip=CKV2_AWS_38:DNSSEC is for public zones; this one is answered inside the VPC only
  #checkov:skip=CKV2_AWS_39:Route 53 has query logs for public zones only
  name = var.deployment.domain

  dynamic "vpc" {
    for_each = var.deployment.moto ? [] : [aws_vpc.main.id] # moto forgets it, and refuses it the second time

    content {
      vpc_id = vpc.value
    }
  }
}

# ---------------------------------------------------------------- log of refused connections

resource "aws_flow_log" "rejected" {
  vpc_id               = aws_vpc.main.id
  traffic_type         = "REJECT" # accepted requests are in the load balancer's log
  log_destination_type = "cloud-watch-logs"
  log_destination      = var.log_group_arns["flow"]
  iam_role_arn         = var.flow_role_arn
  tags                 = { Name = "${var.deployment.name}-rejected" }
}
