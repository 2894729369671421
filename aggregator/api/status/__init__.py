"""The routes of state: health, readiness, metrics, and the exchanges."""
