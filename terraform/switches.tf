# Variables that need each other. Nothing here needs a provider, so that a test can plan this file and the variables alone.

output "switches" {
  description = "The trade stream's variables, for terraform/stages."
  value       = { streaming = var.streaming, processors = var.processors, fanout = var.fanout, lake = var.lake, staged = var.staged }

  precondition {
    condition     = var.processors == null || (var.streaming != null && var.fanout != null)
    error_message = "Processors read a stream and write to tables: set streaming = {} and fanout = {}."
  }

  precondition {
    condition     = var.processors == null || try(var.processors.max <= var.streaming.shards, true)
    error_message = "Processors beyond the number of shards have nothing to do: processors.max must not be above streaming.shards."
  }

  precondition {
    condition     = !try(var.lake.firehose, false) || var.streaming != null
    error_message = "Firehose reads the stream: set streaming = {}."
  }

  precondition {
    condition     = var.mock_exchanges || var.exchanges != null
    error_message = "Without mock_exchanges, name real ones in exchanges: \"binance,coinbase,kraken\"."
  }

  precondition {
    condition     = var.exchanges == null || var.nat_gateways != "none"
    error_message = "Real exchanges are on the internet: set nat_gateways to one or each_zone."
  }

  precondition {
    condition     = var.certificate_arn == null || length(var.hostnames) > 0 || contains(keys(var.settings), "ALLOWED_HOSTS")
    error_message = "Put the names of the certificate into hostnames: the service refuses unknown hosts."
  }
}
