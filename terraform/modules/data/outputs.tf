output "table" {
  description = "The table of the history."
  value       = aws_dynamodb_table.prices.name
}

output "rescue" {
  description = "Bucket of rescued outboxes."
  value       = aws_s3_bucket.rescue.id
}

output "redis_address" {
  description = "Address of Redis."
  value       = one(concat(aws_elasticache_replication_group.main[*].primary_endpoint_address, var.deployment.moto ? ["moto"] : []))
}

output "settings" {
  description = "Settings that machines need to start."
  value       = [for setting in aws_ssm_parameter.setting : setting.id]
}
