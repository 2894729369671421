"""Writing of the archive: marks, the archiver, its files, compaction and inspection."""
