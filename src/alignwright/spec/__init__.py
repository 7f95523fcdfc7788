"""What is asked for? The spec file, the constitution, the data: prose and YAML in, core records
out. No torch."""
