"""Reading from stores for a response: with time limits, over checked ranges, in pages."""
