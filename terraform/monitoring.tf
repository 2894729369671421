# Prometheus and Grafana, reached through Session Manager only (output `open_grafana`). Prometheus finds the machines by
# their tags and keeps its data on a disk that outlives this machine.

resource "aws_instance" "monitoring" {
  #checkov:skip=CKV_AWS_126:on, except under moto, which has no such call
  count                       = local.monitored ? 1 : 0
  ami                         = local.ami
  instance_type               = var.monitoring.instance_type
  subnet_id                   = aws_subnet.private[local.zones[0]].id
  vpc_security_group_ids      = [aws_security_group.main["monitoring"].id]
  iam_instance_profile        = aws_iam_instance_profile.machine["monitoring"].name
  user_data_base64            = local.user_data["monitoring"]
  user_data_replace_on_change = true
  associate_public_ip_address = false
  ebs_optimized               = true
  monitoring                  = !local.moto # by the minute
  tags                        = { Name = "${local.name}-monitoring", Role = "monitoring", Deployment = local.name }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_size = 16
    volume_type = "gp3"
    encrypted   = true
    tags        = { Name = "${local.name}-monitoring" }
  }

  depends_on = [aws_iam_role_policy.machine, aws_vpc_endpoint.interface, aws_vpc_endpoint.s3]
}

resource "aws_ebs_volume" "monitoring" {
  #checkov:skip=CKV_AWS_189:EBS' own key, as for all disks here: see keys.tf
  #checkov:skip=CKV2_AWS_9:metrics of two weeks; losing them loses no price
  count             = local.monitored ? 1 : 0
  availability_zone = local.zones[0]
  size              = var.monitoring.disk_gb
  type              = "gp3"
  encrypted         = true
  tags              = { Name = "${local.name}-metrics" }
}

resource "aws_volume_attachment" "monitoring" {
  count       = local.monitored ? 1 : 0
  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.monitoring[0].id
  instance_id = aws_instance.monitoring[0].id
}
