output "key_arn" {
  description = "Key of stored data."
  value       = aws_kms_key.main.arn
}

output "profiles" {
  description = "Instance profiles by kind of machine."
  value       = { for kind, profile in aws_iam_instance_profile.machine : kind => { arn = profile.arn, name = profile.name } }
}

output "flow_role_arn" {
  description = "Role that writes the log of refused connections."
  value       = aws_iam_role.flow.arn
}

output "policies" {
  description = "Rights of the machines, which they need to start."
  value       = [for policy in aws_iam_role_policy.machine : policy.id]
}
