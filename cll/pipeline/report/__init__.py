"""The report stage: one HTML page that works offline, and Markdown for a pull request."""
