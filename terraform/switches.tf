# Variables that need each other. Nothing here needs a provider, so that a test can plan this file and the variables alone.

locals {
  trades_log = lookup(var.settings, "TRADES_LOG", "")
  kafka_log  = startswith(local.trades_log, "kafka://")
}

output "switches" {
  description = "The trade stream's variables, for terraform/stages."
  value       = { streaming = var.streaming, processors = var.processors, fanout = var.fanout, lake = var.lake, staged = var.staged }

  precondition {
    condition     = var.processors == null || (var.streaming != null && var.fanout != null)
    error_message = "Processors read a stream and write to tables: set streaming = {} and fanout = {}."
  }

  precondition {
    condition     = var.processors == null || local.kafka_log || try(var.processors.max <= var.streaming.shards, true)
    error_message = "Processors beyond the number of shards have nothing to do: processors.max must not be above streaming.shards."
  }

  precondition {
    condition     = !local.kafka_log || try(var.streaming.msk_serverless, false) && can(regex("^kafka://[^/?#]+/trades([?]|$)", local.trades_log)) && !strcontains(local.trades_log, "group=")
    error_message = "TRADES_LOG: kafka:// is MSK's topic `trades` with the group `aggregator`: set streaming = { msk_serverless = true }. Network, rights, scaling and alarms know no other."
  }

  precondition {
    condition     = !contains(try(var.fanout.topics, []), "sentiment") || lookup(var.settings, "NEWS", "") != ""
    error_message = "The topic sentiment needs settings.NEWS: a processor refuses to start with a topic that it has no events of."
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
