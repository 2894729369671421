# Three mock exchanges, each on its own machine, so that one can fail alone. Not made with mock_exchanges = false.

resource "aws_instance" "exchange" {
  #checkov:skip=CKV_AWS_126:on, except under moto, which has no such call
  for_each                    = var.deployment.exchanges
  ami                         = local.ami
  instance_type               = var.architecture == "arm64" ? "t4g.micro" : "t3.micro"
  subnet_id                   = var.private_subnets[var.deployment.zones[each.value % 2]]
  vpc_security_group_ids      = [var.group_ids["exchanges"]]
  iam_instance_profile        = var.profiles["exchanges"].name
  user_data_base64            = local.user_data[each.key]
  user_data_replace_on_change = true
  associate_public_ip_address = false
  ebs_optimized               = true
  monitoring                  = !var.deployment.moto # by the minute
  tags                        = { Name = "${var.deployment.name}-exchanges", Role = "exchange", Deployment = var.deployment.name, Exchange = each.key }
  volume_tags                 = merge(var.deployment.group_tags, { Name = "${var.deployment.name}-${each.key}" })

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_size = 12
    volume_type = "gp3"
    encrypted   = true
  }

  depends_on = [var.ready]
}

resource "aws_route53_record" "exchange" {
  for_each = var.deployment.exchanges
  zone_id  = var.zone_id
  name     = "${each.key}.${var.deployment.domain}"
  type     = "A"
  ttl      = 30 # a replaced exchange is found again within this time
  records  = [aws_instance.exchange[each.key].private_ip]
}
