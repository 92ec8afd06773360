"""Stage ingest: a source's records into sealed partitions, and an account of each record."""
