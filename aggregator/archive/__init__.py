"""The archive: Parquet files on disk or S3, partitioned by the hour of the event."""
