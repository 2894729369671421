output "address" {
  description = "Name of the load balancer."
  value       = aws_lb.main.dns_name
}

output "balancer" {
  description = "The load balancer and its target group, as CloudWatch names them."
  value       = { name = aws_lb.main.arn_suffix, target = aws_lb_target_group.api.arn_suffix }
}

output "repositories" {
  description = "Where to push images."
  value       = { for name, repository in aws_ecr_repository.main : name => repository.repository_url }
}

output "templates" {
  description = "Launch templates by kind of machine."
  value       = { for kind, template in aws_launch_template.main : kind => { id = template.id, version = tostring(template.latest_version) } }
}

output "ami" {
  description = "Image of the machines."
  value       = local.ami
}

output "user_data" {
  description = "Start of the machines, by machine."
  value       = local.user_data
}
