output "stream" {
  description = "The stream of trades."
  value       = aws_kinesis_stream.trades.name
}

output "leases" {
  description = "The table by which processors share the shards."
  value       = aws_dynamodb_table.leases.name
}

output "kafka_cluster" {
  description = "ARN of MSK Serverless, if any."
  value       = one(aws_msk_serverless_cluster.main[*].arn)
}

output "kafka_brokers" {
  description = "Addresses of MSK Serverless, if any."
  value       = one(data.aws_msk_bootstrap_brokers.main[*].bootstrap_brokers_sasl_iam)
}

output "stream_arn" {
  description = "ARN of the stream."
  value       = aws_kinesis_stream.trades.arn
}
