# Two roles for the workflows, by OIDC, without a key: `deploy` may change what begins with `name`, `plan` may read. Each trusts
# the environments of one repository, so a deployment waits for the environment's reviewers.

locals {
  roles = var.github_repository == null ? {} : {
    deploy = [for one in var.environments : "repo:${var.github_repository}:environment:${one}"]
    plan   = [for one in var.environments : "repo:${var.github_repository}:environment:${one}-plan"]
  }
  issuer   = "token.actions.githubusercontent.com"
  provider = var.oidc_provider_arn != null ? var.oidc_provider_arn : one(aws_iam_openid_connect_provider.github[*].arn)

  # Calls by resource where the name is ours, and by region where AWS takes no name, such as those on networks.
  named = {
    cloudwatch  = ["alarm:${var.name}-*"]
    dynamodb    = ["table/${var.name}-*"]
    ecr         = ["repository/${var.name}-*"]
    ecs         = ["cluster/${var.name}-*", "service/${var.name}-*", "task-definition/${var.name}-*"]
    firehose    = ["deliverystream/${var.name}-*"]
    kinesis     = ["stream/${var.name}-*"]
    kafka       = ["cluster/${var.name}-*"]
    logs        = ["log-group:/${var.name}-*", "log-group:aws-waf-logs-${var.name}-*"]
    sns         = ["${var.name}-*"]
    sqs         = ["${var.name}-*"]
    ssm         = ["parameter/${var.name}-*"]
    elasticache = ["replicationgroup:${var.name}-*", "user:${var.name}-*", "usergroup:${var.name}-*", "subnetgroup:${var.name}-*"]
    athena      = ["workgroup/${var.name}-*"]
  }
  by_region = [
    "application-autoscaling:*", "autoscaling:*", "acm:DescribeCertificate", "acm:ListTagsForCertificate", "ec2:*",
    "ecr:GetAuthorizationToken", "ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition", "elasticloadbalancing:*", "glue:*",
    "kms:*", "logs:DescribeLogGroups", "ssm:DescribeParameters", "ssm:GetParameter", "wafv2:*", "cloudwatch:DescribeAlarms",
    "kafka:ListClustersV2", "athena:ListWorkGroups", "elasticache:Describe*",
  ]
  looks = [
    "acm:Describe*", "acm:List*", "application-autoscaling:Describe*", "application-autoscaling:List*", "athena:Get*", "athena:List*",
    "autoscaling:Describe*", "budgets:View*", "budgets:Describe*", "budgets:ListTagsForResource", "cloudwatch:Describe*", "cloudwatch:List*",
    "dynamodb:Describe*", "dynamodb:List*", "ec2:Describe*", "ec2:Get*", "ecr:Describe*", "ecr:Get*", "ecr:List*", "ecs:Describe*", "ecs:List*",
    "elasticache:Describe*", "elasticache:List*", "elasticloadbalancing:Describe*", "firehose:Describe*", "firehose:List*",
    "glue:GetDatabase", "glue:GetTable", "glue:GetTags", "glue:GetPartitionIndexes", "iam:Get*", "iam:List*", "kafka:Describe*", "kafka:List*", "kinesis:Describe*",
    "kinesis:List*", "kms:Describe*", "kms:GetKey*", "kms:List*", "logs:Describe*", "logs:List*", "route53:Get*", "route53:List*",
    "s3:GetAccelerateConfiguration", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration", "s3:ListBucket", "sns:Get*", "sns:List*", "sqs:Get*", "sqs:List*", "ssm:Describe*", "ssm:GetParameter",
    "ssm:GetParameters", "ssm:List*", "wafv2:Get*", "wafv2:List*",
  ]
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.github_repository != null && var.oidc_provider_arn == null ? 1 : 0
  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.provider]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = each.value
    }
  }
}

resource "aws_iam_role" "workflow" {
  for_each             = local.roles
  name                 = "${var.name}-workflow-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 7200
}

resource "aws_iam_role_policy" "workflow" {
  for_each = local.roles
  name     = "what-it-calls"
  role     = aws_iam_role.workflow[each.key].id
  policy   = each.key == "deploy" ? data.aws_iam_policy_document.deploy.json : data.aws_iam_policy_document.plan.json
}

# What may read a configuration may not read data: no objects of buckets but states, no items of tables, no secrets. API keys
# are SecureStrings of SSM.
data "aws_iam_policy_document" "plan" {
  #checkov:skip=CKV_AWS_356:lists and descriptions take no resource
  #checkov:skip=CKV_AWS_108:the states are what a plan reads
  statement {
    sid       = "Look"
    actions   = local.looks
    resources = ["*"]
  }

  statement {
    sid       = "ReadStates"
    actions   = ["s3:GetObject"]
    resources = ["${local.bucket}/*"]
  }

  # Whoever may read a parameter with a secret gets it decrypted: SSM's own key serves the whole account.
  statement {
    sid       = "NoSecrets"
    effect    = "Deny"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["ssm.*"]
    }
  }
}

data "aws_iam_policy_document" "deploy" {
  #checkov:skip=CKV_AWS_356:networks, load balancers and keys have no name that begins with ours; the region bounds them
  #checkov:skip=CKV_AWS_108:the states are what it writes
  #checkov:skip=CKV_AWS_109:it makes the deployment's roles; see the statements on roles
  #checkov:skip=CKV_AWS_110:roles that it makes begin with our name, and it may not change its own
  #checkov:skip=CKV_AWS_111:networks, load balancers and keys have no name before they are made; the region bounds them
  #checkov:skip=CKV_AWS_107:a sign-in to ECR, for the image
  #checkov:skip=CKV2_AWS_40:on roles that begin with our name only
  statement {
    sid       = "Look"
    actions   = local.looks
    resources = ["*"]
  }

  statement {
    sid       = "ChangeWhatIsNamed"
    actions   = [for service, names in local.named : "${service}:*"]
    resources = flatten([for service, names in local.named : [for name in names : "${local.aws}:${service}:${var.region}:${local.account}:${name}"]])
  }

  statement {
    sid       = "ChangeInTheRegion"
    actions   = local.by_region
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid       = "ChangeBuckets"
    actions   = ["s3:*"]
    resources = ["${local.aws}:s3:::${var.name}-*", local.bucket, "${local.bucket}/*"]
  }

  statement {
    sid       = "ZonesAndBudget" # services without a region
    actions   = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource", "route53:*"]
    resources = ["*"]
  }

  statement {
    sid       = "ChangeRoles"
    actions   = ["iam:*Role", "iam:*RolePolicy", "iam:*InstanceProfile", "iam:PassRole", "iam:TagRole", "iam:UntagRole", "iam:TagInstanceProfile"]
    resources = ["${local.aws}:iam::${local.account}:role/${var.name}-*", "${local.aws}:iam::${local.account}:instance-profile/${var.name}-*"]
  }

  statement {
    sid       = "NotItself"
    effect    = "Deny"
    actions   = ["iam:*"]
    resources = ["${local.aws}:iam::${local.account}:role/${var.name}-workflow-*"]
  }

  # Whoever may read a parameter with a secret gets it decrypted: SSM's own key serves the whole account.
  statement {
    sid       = "NoSecrets"
    effect    = "Deny"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    condition {
      test     = "StringLike"
      variable = "kms:ViaService"
      values   = ["ssm.*"]
    }
  }

  statement {
    sid       = "RolesOfServices"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.aws}:iam::${local.account}:role/aws-service-role/*"]
  }
}
