"""What is run with each recorder, in a process of its own."""
