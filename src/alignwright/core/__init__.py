"""The words of the system: records, protocols, intervals, checks and promises. No torch, no
files, no clock."""
