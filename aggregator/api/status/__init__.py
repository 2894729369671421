"""The routes of state: health, readiness, metrics, and how the exchanges do."""
