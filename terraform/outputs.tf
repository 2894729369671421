output "api_url" {
  description = "Address for ./test.sh live. With a certificate, use one of its names that points here."
  value       = "${var.certificate_arn == null ? "http" : "https"}://${module.compute.address}"
}

output "repositories" {
  description = "Where to push images: docker push REPOSITORY:TAG."
  value       = module.compute.repositories
}

output "settings_path" {
  description = "Path of the settings; put API_KEYS below it as a SecureString."
  value       = local.settings_path
}

output "table" {
  description = "The history's table."
  value       = module.data.table
}

output "log_groups" {
  description = "CloudWatch log groups by content."
  value       = module.monitoring.log_groups
}

output "rescued_outboxes" {
  description = "Bucket with the outboxes of refreshers that could not send everything before they ended."
  value       = module.data.rescue
}

output "open_grafana" {
  description = "Run this, then open http://localhost:3000."
  value = !local.monitored ? null : join(" ", [
    "aws ssm start-session --region ${var.region} --target ${module.monitoring.prometheus}",
    "--document-name AWS-StartPortForwardingSession --parameters portNumber=3000,localPortNumber=3000",
  ])
}

output "platform" {
  description = "What terraform/stages read of this deployment."
  value       = local.platform
}

output "stream" {
  description = "Names of the trade stream's resources, by what is on."
  value       = module.names.name
}

output "kafka_brokers" {
  description = "Addresses of MSK Serverless, for TRADES_LOG; null without it."
  value       = one(module.streaming[*].kafka_brokers)
}
