# The service's settings in SSM Parameter Store. Machines read them when the service starts.

locals {
  # Names only: one value is not known before Redis exists, and `for_each` needs known values.
  parameters = merge([
    for role, settings in var.role_settings : { for name in keys(settings) : "${role}/${name}" => { role = role, name = name } }
  ]...)
}

resource "aws_ssm_parameter" "setting" {
  #checkov:skip=CKV2_AWS_34:none of these is secret, and as plain strings a plan shows what will change
  #checkov:skip=CKV_AWS_337:a key encrypts secret parameters; these are plain strings
  for_each = local.parameters
  name     = "${var.deployment.settings_path[each.value.role]}/${each.value.name}"
  type     = "String"
  value    = var.role_settings[each.value.role][each.value.name]
}
