"""The real parts tests run on: child processes on ephemeral ports of 127.0.0.1, each ended by whoever started it."""
