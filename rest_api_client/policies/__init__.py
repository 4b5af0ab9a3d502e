"""The policies: each a frozen value of options round a pure object that decides, and a few lines that wait."""
