"""The words of the system: records, protocols, stages, claims and promises. No torch, no files, no
clock."""
