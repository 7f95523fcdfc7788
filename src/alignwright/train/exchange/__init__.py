"""A classifier over the whole exchange, prompt and reply so far, that watches a reply token by token."""
