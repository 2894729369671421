# One role for each kind of machine, with the rights for the calls of that kind only. Machines have no other credentials.

locals {
  log_groups = merge(
    { for group in ["service", "metrics", "instances", "flow"] : group => "/${local.name}/${group}" },
    { waf = "aws-waf-logs-${local.name}" }, # WAF insists on the prefix
  )

  # The repositories of the images that a machine runs.
  images_of = merge(
    {
      api        = ["aggregator"]
      refresher  = ["aggregator"]
      exchanges  = ["aggregator"]
      monitoring = ["prometheus", "grafana"]
    },
    local.processing_machines ? { processor = ["aggregator"] } : {},
  )
  users_of_settings = toset(concat(["api", "refresher"], local.processing_machines ? ["processor"] : []))

  redis_arns = [
    "${local.arn.elasticache}:replicationgroup:${local.redis_id}",
    "${local.arn.elasticache}:user:${local.redis_user}",
  ]
  # Of a processor on Fargate, whose role is not one of the machines below.
  processor_rights = concat(
    [
      { sid = "UseTheTable", actions = local.table_actions.processor, resources = [local.table_arn] },
      { sid = "SignInToRedis", actions = ["elasticache:Connect"], resources = local.redis_arns },
    ],
    lookup(module.names.statements, "processor", []),
  )
}

data "aws_iam_policy_document" "machine_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "machine" {
  for_each = local.images_of

  statement { # AWS' AmazonSSMManagedInstanceCore would allow reading every parameter of the account
    sid = "SessionManagerInsteadOfSsh"
    actions = [
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"] # these actions take no resource; a channel is always the caller's own
  }

  statement {
    sid       = "SaysThatItIsThere"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["${local.arn.ec2}:instance/*"] # the instance id is not known before the instance exists

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Name"
      values   = ["${local.name}-${each.key}"]
    }
  }

  statement {
    sid       = "SignInToEcr"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # it takes no resource; the images that may be pulled are below
  }

  statement {
    sid       = "PullItsImages"
    actions   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [for image in each.value : "${local.arn.ecr}:repository/${local.name}/${image}"]
  }

  statement {
    sid     = "WriteLogs"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = [
      for group in ["service", "metrics", "instances"] : "${local.arn.logs}:log-group:${local.log_groups[group]}:*"
    ]
  }

  dynamic "statement" {
    for_each = setintersection([each.key], local.users_of_settings)

    content {
      sid       = "ReadItsSettings"
      actions   = ["ssm:GetParametersByPath"]
      resources = ["${local.arn.ssm}:parameter${local.settings_path[each.key]}"]
    }
  }

  dynamic "statement" {
    for_each = setintersection([each.key], local.users_of_settings)

    content {
      sid       = "UseTheTable"
      actions   = local.table_actions[each.key]
      resources = [local.table_arn]
    }
  }

  dynamic "statement" {
    for_each = setintersection([each.key], local.users_of_settings)

    content {
      sid       = "SignInToRedis"
      actions   = ["elasticache:Connect"]
      resources = local.redis_arns
    }
  }

  dynamic "statement" { # of the trade stream, by role: modules/names
    for_each = { for one in lookup(module.names.statements, each.key, []) : one.sid => one }

    content {
      sid       = statement.key
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }

  dynamic "statement" {
    for_each = setintersection([each.key], ["refresher", "processor"])

    content {
      sid       = "RescueItsOutbox"
      actions   = ["s3:PutObject"]
      resources = ["${local.rescue_arn}/*"]
    }
  }

  dynamic "statement" {
    for_each = setintersection([each.key], ["monitoring"])

    content {
      sid       = "FindWhatToScrape"
      actions   = ["ec2:DescribeInstances", "ec2:DescribeAvailabilityZones"]
      resources = ["*"] # they take no resource

      condition {
        test     = "StringEquals"
        variable = "aws:RequestedRegion"
        values   = [var.region]
      }
    }
  }
}

resource "aws_iam_role" "machine" {
  for_each           = local.images_of
  name               = "${local.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.machine_trust.json
}

resource "aws_iam_role_policy" "machine" {
  for_each = local.images_of
  name     = "what-it-calls"
  role     = aws_iam_role.machine[each.key].id
  policy   = data.aws_iam_policy_document.machine[each.key].json
}

resource "aws_iam_instance_profile" "machine" {
  for_each = local.images_of
  name     = "${local.name}-${each.key}"
  role     = aws_iam_role.machine[each.key].name
}
