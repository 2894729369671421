output "tables" {
  description = "Tables of trades and events."
  value       = { for name, table in aws_dynamodb_table.main : name => table.name }
}

output "table_streams" {
  description = "ARNs of the tables' streams; none unless they are switched on."
  value       = var.settings.table_streams ? { for name, table in aws_dynamodb_table.main : name => table.stream_arn } : {}
}

output "queues" {
  description = "URLs of the queue of events and of its dead-letter queue."
  value       = { events = aws_sqs_queue.events.url, dead = aws_sqs_queue.dead.url }
}
