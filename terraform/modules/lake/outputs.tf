output "bucket" {
  description = "The archive's bucket."
  value       = aws_s3_bucket.main["lake"].bucket
}

output "buckets" {
  description = "All buckets that must be empty before they can be deleted."
  value       = [for bucket in aws_s3_bucket.main : bucket.bucket]
}

output "database" {
  description = "Glue database of the archive."
  value       = aws_glue_catalog_database.main.name
}

output "workgroup" {
  description = "Athena workgroup."
  value       = aws_athena_workgroup.main.name
}
