"""A workspace in object storage: the bucket is the truth, a local folder mirrors what is used."""
