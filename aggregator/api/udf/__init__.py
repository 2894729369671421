"""TradingView's UDF datafeed."""
