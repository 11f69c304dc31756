"""Files behind URIs: S3 and whatever else fsspec reaches."""
