output "runs_on" {
  description = "Name of the Auto Scaling group, or of the service on Fargate."
  value       = one(concat([for group in aws_autoscaling_group.main : group.name], [for service in aws_ecs_service.main : service.name]))
}
