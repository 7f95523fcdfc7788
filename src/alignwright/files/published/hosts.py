"""Where are published data sets looked up? The beginnings of their addresses."""

HUB, GIT = "https://huggingface.co/datasets/", "https://github.com/"
