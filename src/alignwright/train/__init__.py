"""Training: one optimiser loop; a method adds its loss and nothing else."""
