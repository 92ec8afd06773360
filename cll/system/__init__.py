"""Access to the operating system: files, partitions, caches, locks, processes, progress."""
