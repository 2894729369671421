resource "aws_cloudwatch_log_group" "main" {
  #checkov:skip=CKV_AWS_338:by `log_days`; a year of a busy service's log is money for nothing
  for_each          = { for key, name in var.deployment.log_groups : key => name if key != "waf" || var.waf }
  name              = each.value
  retention_in_days = var.log_days
  kms_key_id        = var.key_arn
}
