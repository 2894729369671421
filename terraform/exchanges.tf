# Three mock exchanges, each on its own machine, so that one can fail alone. Not made with mock_exchanges = false.

resource "aws_instance" "exchange" {
  #checkov:skip=CKV_AWS_126:on, except under moto, which has no such call
  for_each                    = local.exchanges
  ami                         = local.ami
  instance_type               = var.architecture == "arm64" ? "t4g.micro" : "t3.micro"
  subnet_id                   = aws_subnet.private[local.zones[each.value % 2]].id
  vpc_security_group_ids      = [aws_security_group.main["exchanges"].id]
  iam_instance_profile        = aws_iam_instance_profile.machine["exchanges"].name
  user_data_base64            = local.user_data[each.key]
  user_data_replace_on_change = true
  associate_public_ip_address = false
  ebs_optimized               = true
  monitoring                  = !local.moto # by the minute
  tags                        = { Name = "${local.name}-exchanges", Role = "exchange", Deployment = local.name, Exchange = each.key }
  volume_tags                 = merge(local.group_tags, { Name = "${local.name}-${each.key}" })

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

  depends_on = [aws_iam_role_policy.machine, aws_vpc_endpoint.interface, aws_vpc_endpoint.s3]
}

resource "aws_route53_record" "exchange" {
  for_each = local.exchanges
  zone_id  = aws_route53_zone.internal.zone_id
  name     = "${each.key}.${local.domain}"
  type     = "A"
  ttl      = 30 # a replaced exchange is found again within this time
  records  = [aws_instance.exchange[each.key].private_ip]
}
