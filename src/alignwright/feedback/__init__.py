"""Where do votes come from? Written pairs, rules, principles read by a model, critiques; and the
check of every voter that is a model."""
