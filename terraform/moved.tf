# Addresses of deployments that were made before these modules. An apply renames them in the state, and changes nothing else.

moved {
  from = aws_vpc.main
  to   = module.network.aws_vpc.main
}

moved {
  from = aws_default_security_group.closed
  to   = module.network.aws_default_security_group.closed
}

moved {
  from = aws_subnet.public
  to   = module.network.aws_subnet.public
}

moved {
  from = aws_subnet.private
  to   = module.network.aws_subnet.private
}

moved {
  from = aws_internet_gateway.main
  to   = module.network.aws_internet_gateway.main
}

moved {
  from = aws_route_table.public
  to   = module.network.aws_route_table.public
}

moved {
  from = aws_route.internet
  to   = module.network.aws_route.internet
}

moved {
  from = aws_route_table_association.public
  to   = module.network.aws_route_table_association.public
}

moved {
  from = aws_route_table.private
  to   = module.network.aws_route_table.private
}

moved {
  from = aws_route_table_association.private
  to   = module.network.aws_route_table_association.private
}

moved {
  from = aws_eip.nat
  to   = module.network.aws_eip.nat
}

moved {
  from = aws_nat_gateway.main
  to   = module.network.aws_nat_gateway.main
}

moved {
  from = aws_route.nat
  to   = module.network.aws_route.nat
}

moved {
  from = aws_route53_zone.internal
  to   = module.network.aws_route53_zone.internal
}

moved {
  from = aws_flow_log.rejected
  to   = module.network.aws_flow_log.rejected
}

moved {
  from = aws_iam_role.flow
  to   = module.identity.aws_iam_role.flow
}

moved {
  from = aws_iam_role_policy.flow
  to   = module.identity.aws_iam_role_policy.flow
}

moved {
  from = aws_vpc_endpoint.interface
  to   = module.network.aws_vpc_endpoint.interface
}

moved {
  from = aws_vpc_endpoint.dynamodb
  to   = module.network.aws_vpc_endpoint.dynamodb
}

moved {
  from = aws_vpc_endpoint.s3
  to   = module.network.aws_vpc_endpoint.s3
}

moved {
  from = aws_security_group.main
  to   = module.network.aws_security_group.main
}

moved {
  from = aws_vpc_security_group_ingress_rule.inside
  to   = module.network.aws_vpc_security_group_ingress_rule.inside
}

moved {
  from = aws_vpc_security_group_egress_rule.inside
  to   = module.network.aws_vpc_security_group_egress_rule.inside
}

moved {
  from = aws_vpc_security_group_egress_rule.gateway
  to   = module.network.aws_vpc_security_group_egress_rule.gateway
}

moved {
  from = aws_vpc_security_group_egress_rule.exchanges_outside
  to   = module.network.aws_vpc_security_group_egress_rule.exchanges_outside
}

moved {
  from = aws_vpc_security_group_egress_rule.discovery_outside
  to   = module.network.aws_vpc_security_group_egress_rule.discovery_outside
}

moved {
  from = aws_vpc_security_group_ingress_rule.public
  to   = module.network.aws_vpc_security_group_ingress_rule.public
}

moved {
  from = aws_iam_role.machine
  to   = module.identity.aws_iam_role.machine
}

moved {
  from = aws_iam_role_policy.machine
  to   = module.identity.aws_iam_role_policy.machine
}

moved {
  from = aws_iam_instance_profile.machine
  to   = module.identity.aws_iam_instance_profile.machine
}

moved {
  from = aws_kms_key.main
  to   = module.identity.aws_kms_key.main
}

moved {
  from = aws_kms_alias.main
  to   = module.identity.aws_kms_alias.main
}

moved {
  from = aws_dynamodb_table.prices
  to   = module.data.aws_dynamodb_table.prices
}

moved {
  from = aws_elasticache_subnet_group.main
  to   = module.data.aws_elasticache_subnet_group.main
}

moved {
  from = aws_elasticache_replication_group.main
  to   = module.data.aws_elasticache_replication_group.main
}

moved {
  from = aws_elasticache_user.service
  to   = module.data.aws_elasticache_user.service
}

moved {
  from = aws_elasticache_user.default
  to   = module.data.aws_elasticache_user.default
}

moved {
  from = aws_elasticache_user_group.main
  to   = module.data.aws_elasticache_user_group.main
}

moved {
  from = aws_s3_bucket.rescue
  to   = module.data.aws_s3_bucket.rescue
}

moved {
  from = aws_s3_bucket_public_access_block.rescue
  to   = module.data.aws_s3_bucket_public_access_block.rescue
}

moved {
  from = aws_s3_bucket_versioning.rescue
  to   = module.data.aws_s3_bucket_versioning.rescue
}

moved {
  from = aws_s3_bucket_server_side_encryption_configuration.rescue
  to   = module.data.aws_s3_bucket_server_side_encryption_configuration.rescue
}

moved {
  from = aws_s3_bucket_lifecycle_configuration.rescue
  to   = module.data.aws_s3_bucket_lifecycle_configuration.rescue
}

moved {
  from = aws_s3_bucket_policy.rescue
  to   = module.data.aws_s3_bucket_policy.rescue
}

moved {
  from = aws_ssm_parameter.setting
  to   = module.data.aws_ssm_parameter.setting
}

moved {
  from = aws_ecr_repository.main
  to   = module.compute.aws_ecr_repository.main
}

moved {
  from = aws_ecr_lifecycle_policy.main
  to   = module.compute.aws_ecr_lifecycle_policy.main
}

moved {
  from = aws_launch_template.main
  to   = module.compute.aws_launch_template.main
}

moved {
  from = aws_lb.main
  to   = module.compute.aws_lb.main
}

moved {
  from = aws_lb_target_group.api
  to   = module.compute.aws_lb_target_group.api
}

moved {
  from = aws_lb_listener.http
  to   = module.compute.aws_lb_listener.http
}

moved {
  from = aws_lb_listener.https
  to   = module.compute.aws_lb_listener.https
}

moved {
  from = aws_s3_bucket.access
  to   = module.compute.aws_s3_bucket.access
}

moved {
  from = aws_s3_bucket_public_access_block.access
  to   = module.compute.aws_s3_bucket_public_access_block.access
}

moved {
  from = aws_s3_bucket_server_side_encryption_configuration.access
  to   = module.compute.aws_s3_bucket_server_side_encryption_configuration.access
}

moved {
  from = aws_s3_bucket_lifecycle_configuration.access
  to   = module.compute.aws_s3_bucket_lifecycle_configuration.access
}

moved {
  from = aws_s3_bucket_policy.access
  to   = module.compute.aws_s3_bucket_policy.access
}

moved {
  from = aws_autoscaling_group.api
  to   = module.compute.aws_autoscaling_group.api
}

moved {
  from = aws_autoscaling_policy.api_cpu
  to   = module.compute.aws_autoscaling_policy.api_cpu
}

moved {
  from = aws_autoscaling_group.refresher
  to   = module.compute.aws_autoscaling_group.refresher
}

moved {
  from = aws_autoscaling_policy.refresher_cpu
  to   = module.compute.aws_autoscaling_policy.refresher_cpu
}

moved {
  from = aws_autoscaling_policy.refresher_lag
  to   = module.compute.aws_autoscaling_policy.refresher_lag
}

moved {
  from = aws_cloudwatch_metric_alarm.refresher_lag_up
  to   = module.compute.aws_cloudwatch_metric_alarm.refresher_lag_up
}

moved {
  from = aws_cloudwatch_metric_alarm.refresher_quiet
  to   = module.compute.aws_cloudwatch_metric_alarm.refresher_quiet
}

moved {
  from = aws_instance.exchange
  to   = module.compute.aws_instance.exchange
}

moved {
  from = aws_route53_record.exchange
  to   = module.compute.aws_route53_record.exchange
}

moved {
  from = aws_wafv2_web_acl.main
  to   = module.compute.aws_wafv2_web_acl.main
}

moved {
  from = aws_wafv2_web_acl_association.main
  to   = module.compute.aws_wafv2_web_acl_association.main
}

moved {
  from = aws_wafv2_web_acl_logging_configuration.main
  to   = module.compute.aws_wafv2_web_acl_logging_configuration.main
}

moved {
  from = aws_sns_topic.alarms
  to   = module.monitoring.aws_sns_topic.alarms
}

moved {
  from = aws_sns_topic_policy.alarms
  to   = module.monitoring.aws_sns_topic_policy.alarms
}

moved {
  from = aws_sns_topic_subscription.email
  to   = module.monitoring.aws_sns_topic_subscription.email
}

moved {
  from = aws_cloudwatch_metric_alarm.main
  to   = module.monitoring.aws_cloudwatch_metric_alarm.main
}

moved {
  from = aws_budgets_budget.monthly
  to   = module.monitoring.aws_budgets_budget.monthly
}

moved {
  from = aws_cloudwatch_log_group.main
  to   = module.monitoring.aws_cloudwatch_log_group.main
}

moved {
  from = aws_instance.monitoring
  to   = module.monitoring.aws_instance.monitoring
}

moved {
  from = aws_ebs_volume.monitoring
  to   = module.monitoring.aws_ebs_volume.monitoring
}

moved {
  from = aws_volume_attachment.monitoring
  to   = module.monitoring.aws_volume_attachment.monitoring
}
