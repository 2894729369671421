"""The routes of prices: current ones, their sources, sparklines, history and candles; and forced refreshes."""
