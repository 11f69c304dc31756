"""From the bytes of a source file to records: containers, formats, encodings, markup."""
