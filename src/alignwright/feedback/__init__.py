"""Where do votes come from? Labelled pairs, verifiable rules, an LLM as a judge, self-critique; and
the check of every voter that is a model."""
