output "vpc_id" {
  description = "The network."
  value       = aws_vpc.main.id
}

output "private_subnets" {
  description = "Ids of the private subnets by zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "public_subnets" {
  description = "Ids of the public subnets by zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "group_ids" {
  description = "Security groups by name."
  value       = { for name, group in aws_security_group.main : name => group.id }
}

output "zone_id" {
  description = "The private zone."
  value       = aws_route53_zone.internal.zone_id
}

output "endpoints" {
  description = "Endpoints that a machine needs to start."
  value       = concat([for one in aws_vpc_endpoint.interface : one.id], [aws_vpc_endpoint.s3.id])
}
