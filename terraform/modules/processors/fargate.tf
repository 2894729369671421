# On Fargate. A task has no disk that outlives it, so it drains its outbox between SIGTERM and its end. What DynamoDB does not
# accept within that time, or when a task ends without SIGTERM, is lost: on machines it is not.

locals {
  settings = [for name, value in var.platform.settings : { name = "AGGREGATOR_${name}", value = value }]
  mounts   = [for volume in ["data", "tmp"] : { sourceVolume = volume, containerPath = "/${volume}", readOnly = false }]
  logs = {
    logDriver = "awslogs"
    options = {
      awslogs-group         = var.platform.log_group
      awslogs-region        = var.platform.region
      awslogs-stream-prefix = "processor"
      mode                  = "non-blocking"
      max-buffer-size       = "4m"
    }
  }
  containers = [
    { # a volume of Fargate belongs to root
      name                   = "volumes"
      image                  = var.platform.image
      essential              = false
      user                   = "0"
      entryPoint             = ["python", "-c", "import os; [os.chown(path, 10001, 10001) for path in ('/data', '/tmp')]"]
      command                = []
      readonlyRootFilesystem = true
      mountPoints            = local.mounts
      logConfiguration       = local.logs
    },
    {
      name                   = "aggregator"
      image                  = var.platform.image
      essential              = true
      entryPoint             = ["sh", "-c"]
      command                = [file("${path.module}/serve.sh")]
      environment            = local.settings
      dependsOn              = [{ containerName = "volumes", condition = "SUCCESS" }]
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] }, initProcessEnabled = false }
      mountPoints            = local.mounts
      stopTimeout            = 120
      logConfiguration       = local.logs
      healthCheck = {
        command     = ["CMD", "python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', ${var.platform.port}, timeout=3); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 60
      }
    },
  ]
}

resource "aws_ecs_cluster" "main" {
  for_each = local.tasks
  name     = var.platform.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "main" {
  for_each                 = local.tasks
  family                   = "${var.platform.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.settings.cpu
  memory                   = var.settings.memory
  execution_role_arn       = aws_iam_role.start[each.key].arn
  task_role_arn            = aws_iam_role.task[each.key].arn
  container_definitions    = jsonencode(local.containers)

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = { x86_64 = "X86_64", arm64 = "ARM64" }[var.platform.architecture]
  }

  ephemeral_storage {
    size_in_gib = 21
  }

  volume { name = "data" }
  volume { name = "tmp" }
}

resource "aws_ecs_service" "main" {
  for_each                           = local.tasks
  name                               = each.key
  cluster                            = aws_ecs_cluster.main[each.key].id
  task_definition                    = aws_ecs_task_definition.main[each.key].arn
  desired_count                      = var.settings.min
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  enable_execute_command             = false
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  propagate_tags                     = "SERVICE"

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.platform.subnet_ids
    security_groups  = [var.platform.processor_group_id]
    assign_public_ip = false
  }

  lifecycle {
    ignore_changes = [desired_count] # scaling sets it
  }
}

resource "aws_appautoscaling_target" "main" {
  for_each           = local.tasks
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.main[each.key].name}/${aws_ecs_service.main[each.key].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.settings.min
  max_capacity       = var.settings.max
}

resource "aws_appautoscaling_policy" "lag" {
  for_each           = var.settings.runs_on == "fargate" ? local.steps : {}
  name               = "lag-${each.key}"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.main["processor"].service_namespace
  resource_id        = aws_appautoscaling_target.main["processor"].resource_id
  scalable_dimension = aws_appautoscaling_target.main["processor"].scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 180

    step_adjustment {
      scaling_adjustment          = each.value
      metric_interval_lower_bound = each.value > 0 ? "0" : null
      metric_interval_upper_bound = each.value > 0 ? null : "0"
    }
  }
}

# ---------------------------------------------------------------- rights

locals {
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.platform.account } }
    }]
  })
}

resource "aws_iam_role" "start" {
  for_each           = local.tasks
  name               = "${var.platform.name}-processor-start"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "start" {
  for_each = local.tasks
  name     = "what-it-calls"
  role     = aws_iam_role.start[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # It takes no resource; the image that may be pulled is below.
      { Sid = "SignInToEcr", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      { Sid = "PullItsImages", Effect = "Allow", Action = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], Resource = [var.platform.repository_arn] },
      { Sid = "WriteLogs", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["${var.platform.log_arn}:log-group:${var.platform.log_group}:*"] },
    ]
  })
}

resource "aws_iam_role" "task" {
  for_each           = local.tasks
  name               = "${var.platform.name}-processor-task"
  assume_role_policy = local.trust
}

resource "aws_iam_role_policy" "task" {
  for_each = local.tasks
  name     = "what-it-calls"
  role     = aws_iam_role.task[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for one in var.platform.processor_rights : { Sid = one.sid, Effect = "Allow", Action = one.actions, Resource = one.resources }
    ]
  })
}
