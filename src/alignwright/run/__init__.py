"""A run: plan, ledger, execution, conclusion. The one place where the parts are wired together."""
