"""What clients make of an outage: ours beside what people use today, against one simulated server, in virtual time."""
