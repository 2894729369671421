"""Webhooks: signed deliveries over HTTP to receivers that are not trusted."""
