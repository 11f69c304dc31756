"""The least that any ingest does: read a file, decompress it, hash its bytes."""

import gzip
import hashlib
import json
import sys
from pathlib import Path

_GZIP_MAGIC = b"\x1f\x8b"
_PIECE_BYTES = 2**20


def main() -> None:
    """Read the file named on the command line."""
    path = Path(sys.argv[1])
    digest = hashlib.sha256()
    num_lines = num_bytes = 0
    with path.open("rb") as plain:
        is_gzip = plain.read(2) == _GZIP_MAGIC
    with gzip.open(path) if is_gzip else path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            num_lines += piece.count(b"\n")
            num_bytes += len(piece)
    report = {"num_read": num_lines, "num_bytes": num_bytes, "sha256": digest.hexdigest()}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
