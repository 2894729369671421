# AWS' services by private addresses. Gateways cost nothing. Each interface costs by the hour and zone, so there are only those
# in use. Without NAT the machines reach nothing else.

# Private DNS answers in the whole network, so a machine uses an endpoint of the other zone, for 0.01 dollars per GB.
locals {
  # Called by a running process: the agent's log and figures, the stream, the queue.
  running = concat(["logs"], var.interfaces)
  # Called when a machine or a task starts, or by a person. A container that starts again on its machine has its image, and
  # its settings from the last start (files/settings.sh).
  starting = concat(
    ["ecr.api", "ecr.dkr", "ssm"],
    var.session_manager ? ["ssmmessages"] : [],
    var.deployment.monitored && var.nat_gateways == "none" ? ["ec2"] : [], # Prometheus, in the first zone, finds the machines
  )
  in_both    = { running = local.running, each_zone = concat(local.running, local.starting), one = [] }[var.endpoint_zones]
  interfaces = toset(concat(local.running, local.starting))
}

resource "aws_vpc_endpoint" "interface" {
  for_each          = local.interfaces
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${var.deployment.region}.${each.key}"
  vpc_endpoint_type = "Interface"
  subnet_ids = [
    for zone in var.deployment.zones : aws_subnet.private[zone].id
    if zone == var.deployment.zones[0] || contains(local.in_both, each.key)
  ]
  security_group_ids  = [aws_security_group.main["endpoints"].id]
  private_dns_enabled = true
  policy              = data.aws_iam_policy_document.own_account.json
  tags                = { Name = "${var.deployment.name}-${each.key}" }
}

# Only for principals of this account, with their own rights: credentials of another account do not work here.
data "aws_iam_policy_document" "own_account" {
  #checkov:skip=CKV_AWS_1:not an identity's policy: it bounds what passes the endpoint to this account's own principals
  #checkov:skip=CKV_AWS_49:which actions a caller has is in its own policies; an endpoint grants none
  #checkov:skip=CKV_AWS_107:reading credentials takes a right of the caller; an endpoint grants none
  #checkov:skip=CKV_AWS_108:data are read by principals of this account, with rights of their own
  #checkov:skip=CKV_AWS_109:changing rights takes a right of the caller; an endpoint grants none
  #checkov:skip=CKV_AWS_110:no principal gains a right by an endpoint, so none is raised
  #checkov:skip=CKV_AWS_111:writes take a right of the caller on that resource
  #checkov:skip=CKV_AWS_283:the condition names the account that a principal belongs to
  #checkov:skip=CKV_AWS_356:the resources are in the callers' own policies
  statement {
    actions   = ["*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [var.deployment.account]
    }
  }
}

resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${var.deployment.region}.dynamodb"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for zone in var.deployment.zones : aws_route_table.private[zone].id]
  policy            = data.aws_iam_policy_document.dynamodb_endpoint.json
  tags              = { Name = "${var.deployment.name}-dynamodb" }
}

data "aws_iam_policy_document" "dynamodb_endpoint" {
  dynamic "statement" { # the table of prices, and those of the trade stream
    for_each = concat(
      [{ actions = var.deployment.table_actions.refresher, resources = [var.deployment.table_arn] }],
      var.gateway.dynamodb,
    )

    content {
      actions   = statement.value.actions
      resources = statement.value.resources

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:PrincipalAccount"
        values   = [var.deployment.account]
      }
    }
  }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${var.deployment.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for zone in var.deployment.zones : aws_route_table.private[zone].id]
  policy            = data.aws_iam_policy_document.s3_endpoint.json
  tags              = { Name = "${var.deployment.name}-s3" }
}

data "aws_iam_policy_document" "s3_endpoint" {
  statement { # Amazon Linux' packages, and the layers of images in ECR: public or signed by AWS, so no principal is named
    sid     = "PackagesAndLayers"
    actions = ["s3:GetObject"]
    resources = [
      "arn:${var.deployment.partition}:s3:::al2023-repos-${var.deployment.region}-*/*",
      "arn:${var.deployment.partition}:s3:::prod-${var.deployment.region}-starport-layer-bucket/*",
    ]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }

  dynamic "statement" { # the outboxes of machines that end, and the archive
    for_each = concat(
      [{ actions = ["s3:PutObject"], resources = ["${var.deployment.rescue_arn}/*"] }],
      var.gateway.s3,
    )

    content {
      actions   = statement.value.actions
      resources = statement.value.resources

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:PrincipalAccount"
        values   = [var.deployment.account]
      }
    }
  }
}
