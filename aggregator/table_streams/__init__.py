"""The stream of a DynamoDB table that others write, as a source of events for the outlets."""
