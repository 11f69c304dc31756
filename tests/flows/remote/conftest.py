"""The bucket and its machines, for all tests here."""

from tests.bucket_fixtures import server, shared

__all__ = ["server", "shared"]
