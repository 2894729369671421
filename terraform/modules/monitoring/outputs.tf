output "alarm_topic_arn" {
  description = "Topic of all alarms."
  value       = aws_sns_topic.alarms.arn
}

output "log_groups" {
  description = "Log groups by content."
  value       = { for key, group in aws_cloudwatch_log_group.main : key => group.name }
}

output "log_group_arns" {
  description = "ARNs of the log groups by content."
  value       = { for key, group in aws_cloudwatch_log_group.main : key => group.arn }
}

output "prometheus" {
  description = "Id of the machine of Prometheus and Grafana; null without it."
  value       = one(aws_instance.monitoring[*].id)
}
