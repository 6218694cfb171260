"""Amazon S3, and servers that speak its protocol. The only home of boto3."""
