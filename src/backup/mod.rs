//! Backups of Claude's history and settings: snapshot, verify, restore, prune.
