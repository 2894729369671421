"""Logs, traces, metrics and the version of this build."""
