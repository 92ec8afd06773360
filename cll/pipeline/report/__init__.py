"""Stage report: one HTML page that opens offline, and Markdown for a pull request."""
