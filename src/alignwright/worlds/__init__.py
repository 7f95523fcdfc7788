"""What does an agent do when what is rewarded is not what is meant? Six small worlds of
specification gaming (reward hacking), in which both are known."""
