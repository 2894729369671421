"""The formats of a result."""

FORMATS = ("table", "csv", "json", "parquet")
