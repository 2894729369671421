# Prometheus and Grafana, reached through Session Manager only (output `open_grafana`). Prometheus finds the machines by
# their tags and keeps its data on a disk that outlives this machine.

resource "aws_instance" "monitoring" {
  #checkov:skip=CKV_AWS_126:on, except under moto, which has no such call
  count                       = var.deployment.monitored ? 1 : 0
  ami                         = var.ami
  instance_type               = var.monitoring.instance_type
  subnet_id                   = var.private_subnets[var.deployment.zones[0]]
  vpc_security_group_ids      = [var.group_ids["monitoring"]]
  iam_instance_profile        = var.profiles["monitoring"].name
  user_data_base64            = var.user_data
  user_data_replace_on_change = true
  associate_public_ip_address = false
  ebs_optimized               = true
  monitoring                  = !var.deployment.moto # by the minute
  tags                        = { Name = "${var.deployment.name}-monitoring", Role = "monitoring", Deployment = var.deployment.name }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_size = 16
    volume_type = "gp3"
    encrypted   = true
    tags        = { Name = "${var.deployment.name}-monitoring" }
  }

  depends_on = [var.ready]
}

resource "aws_ebs_volume" "monitoring" {
  #checkov:skip=CKV_AWS_189:EBS' own key, as for all disks here: see modules/identity/keys.tf
  #checkov:skip=CKV2_AWS_9:metrics of two weeks; losing them loses no price
  count             = var.deployment.monitored ? 1 : 0
  availability_zone = var.deployment.zones[0]
  size              = var.monitoring.disk_gb
  type              = "gp3"
  encrypted         = true
  tags              = { Name = "${var.deployment.name}-metrics" }
}

resource "aws_volume_attachment" "monitoring" {
  count       = var.deployment.monitored ? 1 : 0
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.monitoring[0].id
  instance_id = aws_instance.monitoring[0].id
}
