"""The audit of a spec as a task of Inspect: its prompts, attacks and graders, on any model that Inspect reaches."""
