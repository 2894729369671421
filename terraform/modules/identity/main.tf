# One role for each kind of machine, with the rights for the calls of that kind only. Machines have no other credentials.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.80"
    }
  }
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
  for_each = var.deployment.images_of

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
    resources = ["${var.deployment.arn.ec2}:instance/*"] # the instance id is not known before the instance exists

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Name"
      values   = ["${var.deployment.name}-${each.key}"]
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
    resources = [for image in each.value : "${var.deployment.arn.ecr}:repository/${var.deployment.name}/${image}"]
  }

  statement {
    sid     = "WriteLogs"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    resources = [
      for group in ["service", "metrics", "instances"] : "${var.deployment.arn.logs}:log-group:${var.deployment.log_groups[group]}:*"
    ]
  }

  dynamic "statement" {
    for_each = setintersection([each.key], var.deployment.users_of_settings)

    content {
      sid       = "ReadItsSettings"
      actions   = ["ssm:GetParametersByPath"]
      resources = ["${var.deployment.arn.ssm}:parameter${var.deployment.settings_path[each.key]}"]
    }
  }

  dynamic "statement" {
    for_each = setintersection([each.key], var.deployment.users_of_settings)

    content {
      sid       = "UseTheTable"
      actions   = var.deployment.table_actions[each.key]
      resources = [var.deployment.table_arn]
    }
  }

  dynamic "statement" {
    for_each = setintersection([each.key], var.deployment.users_of_settings)

    content {
      sid       = "SignInToRedis"
      actions   = ["elasticache:Connect"]
      resources = var.deployment.redis_arns
    }
  }

  dynamic "statement" { # of the trade stream, by role: modules/names
    for_each = { for one in lookup(var.statements, each.key, []) : one.sid => one }

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
      resources = ["${var.deployment.rescue_arn}/*"]
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
        values   = [var.deployment.region]
      }
    }
  }
}

resource "aws_iam_role" "machine" {
  for_each           = var.deployment.images_of
  name               = "${var.deployment.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.machine_trust.json
}

resource "aws_iam_role_policy" "machine" {
  for_each = var.deployment.images_of
  name     = "what-it-calls"
  role     = aws_iam_role.machine[each.key].id
  policy   = data.aws_iam_policy_document.machine[each.key].json
}

resource "aws_iam_instance_profile" "machine" {
  for_each = var.deployment.images_of
  name     = "${var.deployment.name}-${each.key}"
  role     = aws_iam_role.machine[each.key].name
}
