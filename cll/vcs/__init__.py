"""Git and DVC, called as child processes."""
