resource "aws_budgets_budget" "monthly" {
  count        = var.deployment.moto ? 0 : 1
  name         = var.deployment.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter { # of this deployment: switch the tag Project on as a cost allocation tag (README)
    name   = "TagKeyValue"
    values = [join("$", ["user:Project", var.deployment.project])]
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type         = notification.key
      comparison_operator       = "GREATER_THAN"
      threshold                 = notification.value
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
    }
  }
}
