# Cache, jobs and messages. There is no password: the service signs in with its instance role (IAM authentication), as a user
# with rights on its own keys and channels only.

resource "aws_elasticache_subnet_group" "main" {
  count      = var.deployment.moto ? 0 : 1
  name       = var.deployment.name
  subnet_ids = [for zone in var.deployment.zones : var.private_subnets[zone]]
}

resource "aws_elasticache_replication_group" "main" {
  #checkov:skip=CKV2_AWS_50:by `redis.multi_az`, on by default
  #checkov:skip=CKV_AWS_31:encrypted in transit; the user group below decides about access, with IAM instead of a token
  count                      = var.deployment.moto ? 0 : 1
  replication_group_id       = var.deployment.redis_id
  description                = "${var.deployment.name}: cache and jobs"
  engine                     = "redis"
  engine_version             = "7.1"
  parameter_group_name       = "default.redis7" # its volatile-lru never evicts the jobs, which do not expire
  node_type                  = var.redis.node_type
  num_cache_clusters         = var.redis.multi_az ? 2 : 1
  automatic_failover_enabled = var.redis.multi_az
  multi_az_enabled           = var.redis.multi_az
  port                       = 6379
  subnet_group_name          = aws_elasticache_subnet_group.main[0].name
  security_group_ids         = [var.group_ids["redis"]]
  user_group_ids             = aws_elasticache_user_group.main[*].id

  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  kms_key_id                 = var.key_arn

  # No backup: new prices come within seconds, and history is in DynamoDB.
  snapshot_retention_limit   = 0
  auto_minor_version_upgrade = true
  maintenance_window         = "sun:03:00-sun:04:00"
  apply_immediately          = true
}

resource "aws_elasticache_user" "service" {
  user_id       = var.deployment.redis_user
  user_name     = var.deployment.redis_user # IAM requires equal user id and name
  engine        = "redis"
  access_string = trimspace(file("${path.module}/../../files/redis-rights.txt"))

  authentication_mode {
    type = "iam"
  }
}

# Every user group must have a user `default`; this one has no rights.
resource "aws_elasticache_user" "default" {
  user_id       = "${var.deployment.name}-default"
  user_name     = "default"
  engine        = "redis"
  access_string = "off -@all"

  authentication_mode {
    type = "no-password-required"
  }
}

resource "aws_elasticache_user_group" "main" {
  count         = var.deployment.moto ? 0 : 1
  user_group_id = var.deployment.name
  engine        = "redis"
  user_ids      = [aws_elasticache_user.default.user_id, aws_elasticache_user.service.user_id]
}
