"""Components that conf/ can choose: a folder a group, a file a choice, helpers with an underscore."""
