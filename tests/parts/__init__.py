"""Real parts for tests: child processes on ephemeral ports of 127.0.0.1, ended by the fixture that started them."""
