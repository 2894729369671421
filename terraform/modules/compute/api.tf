# Machines that answer requests, behind the load balancer.

resource "aws_autoscaling_group" "api" {
  count                     = var.deployment.running ? 1 : 0
  name                      = "${var.deployment.name}-api"
  min_size                  = var.api.min
  max_size                  = var.api.max
  vpc_zone_identifier       = [for zone in var.deployment.zones : var.private_subnets[zone]]
  target_group_arns         = [aws_lb_target_group.api.arn]
  health_check_type         = "ELB" # by /health: see main.tf
  health_check_grace_period = 300   # the time to install Docker and pull the image
  default_instance_warmup   = 180
  termination_policies      = ["OldestLaunchTemplate", "OldestInstance"]
  wait_for_capacity_timeout = var.deployment.moto ? "0" : "15m" # moto's machines never become healthy

  launch_template {
    id      = aws_launch_template.main["api"].id
    version = aws_launch_template.main["api"].latest_version
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100 # starts a new machine before it ends an old one
      max_healthy_percentage = 150
      instance_warmup        = 180
      auto_rollback          = true
    }
  }

  dynamic "tag" {
    for_each = var.deployment.group_tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template does it, for volumes as well
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity] # scaling sets it
  }

  depends_on = [var.ready]
}

resource "aws_autoscaling_policy" "api_cpu" {
  count                  = var.deployment.running ? 1 : 0
  name                   = "api-cpu"
  autoscaling_group_name = aws_autoscaling_group.api[0].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = 50

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}
