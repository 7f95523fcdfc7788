"""How can a weak judge judge what is hard for it? Scalable oversight: debate, consultancy, helpers."""
