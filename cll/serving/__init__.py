"""Commands `cll predict` and `export`: scores of new rows, and models for other runtimes."""
