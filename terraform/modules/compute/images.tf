# The image repositories. Images run by digest. Tags are for people and cannot be moved.

locals {
  repositories = toset(["aggregator", "prometheus", "grafana"])
}

resource "aws_ecr_repository" "main" {
  for_each             = local.repositories
  name                 = "${var.deployment.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = !var.deployment.keep

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "main" {
  for_each   = local.repositories
  repository = aws_ecr_repository.main[each.key].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "keep the last 20 for rolling back"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
      action       = { type = "expire" }
    }]
  })
}
