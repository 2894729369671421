"""The routes of stored events: alerts, unusual trades, sentiment, signals and paper positions."""
