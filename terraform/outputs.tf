output "api_url" {
  description = "Address for ./test.sh live. With a certificate, use one of its names that points here."
  value       = "${var.certificate_arn == null ? "http" : "https"}://${aws_lb.main.dns_name}"
}

output "repositories" {
  description = "Where to push images: docker push REPOSITORY:TAG."
  value       = { for name, repository in aws_ecr_repository.main : name => repository.repository_url }
}

output "settings_path" {
  description = "Path of the settings; put API_KEYS below it as a SecureString."
  value       = local.settings_path
}

output "table" {
  description = "The history's table."
  value       = aws_dynamodb_table.prices.name
}

output "log_groups" {
  description = "CloudWatch log groups by content."
  value       = { for key, group in aws_cloudwatch_log_group.main : key => group.name }
}

output "rescued_outboxes" {
  description = "Bucket with the outboxes of refreshers that could not send everything before they ended."
  value       = aws_s3_bucket.rescue.id
}

output "open_grafana" {
  description = "Run this, then open http://localhost:3000."
  value = !local.monitored ? null : join(" ", [
    "aws ssm start-session --region ${var.region} --target ${aws_instance.monitoring[0].id}",
    "--document-name AWS-StartPortForwardingSession --parameters portNumber=3000,localPortNumber=3000",
  ])
}

output "platform" {
  description = "What terraform/stages read of this deployment."
  value       = local.platform
}

output "switches" {
  description = "The trade stream's variables, for terraform/stages."
  value       = { streaming = var.streaming, processors = var.processors, fanout = var.fanout, lake = var.lake, staged = var.staged }
}

output "stream" {
  description = "Names of the trade stream's resources, by what is on."
  value       = module.names.name
}
