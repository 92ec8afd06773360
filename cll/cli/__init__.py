"""Command line: a module a room, each command a few lines around one call."""
