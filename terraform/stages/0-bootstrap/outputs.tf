output "state_bucket" {
  description = "STATE_BUCKET of scripts/deploy.sh and of the workflows."
  value       = aws_s3_bucket.states.bucket
}

output "roles" {
  description = "AWS_ROLE of the environments: `deploy`, and `plan` for those that end in -plan."
  value       = { for name, role in aws_iam_role.workflow : name => role.arn }
}
