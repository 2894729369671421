"""Storages of the archive: a folder or an S3 bucket, their address, and small files beside the datasets."""
