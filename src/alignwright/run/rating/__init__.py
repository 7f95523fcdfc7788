"""Which reply is better? People say so: in the terminal, or on a page in the browser that needs no network."""
