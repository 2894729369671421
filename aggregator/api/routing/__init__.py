"""Routes that describe themselves, their parameters and descriptions, and the responses and refusals of all routes."""
