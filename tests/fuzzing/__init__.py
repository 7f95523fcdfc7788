"""Do the doors hold against whatever others may have written? Generated cases for each, by seed,
shared by tests and `benchmarks/fuzz.py`.

A door is where a file or an answer from outside comes in. Each case is right input made wrong
(`mutations`), or odd by construction, and is tried in a process of its own (`trials`): it ends in a
success or in the errors that are documented, within its seconds and its memory, and no row is lost.
"""
