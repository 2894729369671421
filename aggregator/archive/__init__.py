"""The archive: Parquet files on disk or S3, partitioned by the hour of the event.

`storages` has the folder and the bucket, `writes` fills them from the stores, `reads` serves requests from them, and
`sql` the queries of users. The modules beside these packages are what they share: the datasets with their columns,
the names of files, the manifest of a day, and DuckDB.
"""
