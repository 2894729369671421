output "name" {
  description = "Names by resource."
  value       = local.name
}

output "arn" {
  description = "ARNs by resource."
  value       = local.arn
}

output "settings" {
  description = "Settings of the service, by role."
  value       = local.settings
}

output "statements" {
  description = "Rights by role: lists of objects with sid, actions and resources."
  value       = local.statements
}

output "lag" {
  description = "Metric of the age of the oldest unread trade."
  value       = local.lag
}

output "interfaces" {
  description = "Services that need an interface endpoint."
  value       = local.interfaces
}

output "gateway" {
  description = "Statements that the endpoints of DynamoDB and S3 must let pass."
  value       = local.gateway
}

output "encrypted" {
  description = "Services that use the deployment's key for the service's roles."
  value       = local.encrypted
}
