"""The operating system: files, partitions, caches, locks, processes, progress."""
