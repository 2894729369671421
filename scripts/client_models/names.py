"""The names of schemas in the clients, the modules that have them, and the fields that are times."""

MODULES: dict[str, dict[str, str]] = {
    "prices": {
        "PriceBody": "Price",
        "Missing": "Missing",
        "PriceList": "PriceList",
        "Conversion": "Conversion",
        "Source": "Source",
        "LeftOut": "LeftOut",
        "PriceSources": "PriceSources",
        "Refreshed": "RefreshedPrice",
        "Sparkline": "Sparkline",
        "SparklineList": "SparklineList",
    },
    "history": {
        "StoredPrice": "StoredPrice",
        "HistoryPage": "HistoryPage",
        "StoredPriceSources": "StoredPriceSources",
        "HistorySourcesPage": "HistorySourcesPage",
        "TimedCandle": "Candle",
        "CandleList": "CandleList",
    },
    "trades": {
        "StoredTrade": "Trade",
        "TradePage": "TradePage",
        "Quote": "Quote",
        "ShownTrade": "LiveTrade",
        "RejectedRecord": "RejectedRecord",
        "Ingested": "Ingested",
    },
    "analytics": {
        "Aggregations": "Aggregations",
        "FeaturesAnswer": "Features",
        "AnomalyRow": "AnomalyRow",
        "AnomalyPage": "AnomalyPage",
        "Anomaly": "Anomaly",
        "SentimentItem": "SentimentItem",
        "SentimentSummary": "SentimentSummary",
        "SentimentPage": "SentimentPage",
    },
    "paper": {
        "Signal": "Signal",
        "SignalPage": "SignalPage",
        "OpenPosition": "OpenPosition",
        "OpenPositions": "OpenPositions",
        "ClosedPosition": "ClosedPosition",
        "ClosedTotals": "ClosedTotals",
        "ClosedPage": "ClosedPage",
    },
    "alerts": {
        "Rule": "AlertRule",
        "RuleList": "AlertRuleList",
        "RuleDeleted": "AlertRuleDeleted",
        "Alert": "Alert",
        "FiredAlerts": "FiredAlerts",
    },
    "service": {
        "ListedAsset": "Asset",
        "AssetList": "AssetList",
        "RateLimit": "RateLimit",
        "ExchangeReport": "ExchangeReport",
        "ExchangeReports": "ExchangeReports",
        "ExchangeState": "ExchangeState",
        "TierFreshness": "TierFreshness",
        "Partition": "Partition",
        "Readiness": "Readiness",
        "Health": "Health",
    },
}

# Schemas of which another model has all fields: the same values come in an answer and in a stream.
SAME_AS = {"CurrentPrice": "PriceBody", "Features": "FeaturesAnswer", "PaperSignal": "Signal"}

LEFT_OUT = {
    "Refusal": "raised as an error with these fields",
    "NoPriceFound": "raised as an error with these fields",
    "NotIngested": "raised as an error with these fields",
    "UdfBars": "UDF is read by TradingView's own library",
    "UdfConfig": "UDF is read by TradingView's own library",
    "UdfNoData": "UDF is read by TradingView's own library",
    "UdfOption": "UDF is read by TradingView's own library",
    "UdfRefusal": "UDF is read by TradingView's own library",
    "UdfSymbol": "UDF is read by TradingView's own library",
}

# Fields in unix seconds. In Python, they are datetimes.
TIMES = frozenset(
    {
        "created_at",
        "entry_time",
        "exit_time",
        "figures_since",
        "last_ticker",
        "published_at",
        "rate_timestamp",
        "start",
        "timestamp",
        "timestamps",
        "updated_at",
        "window_end",
        "window_start",
    }
)
