"""The composition root: opens what the settings name, runs it, closes it. Only here are concrete adapters known."""
