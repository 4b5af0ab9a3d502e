"""The runtimes: how threads wait, and how event loops do."""
