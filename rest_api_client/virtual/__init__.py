"""Virtual time: one clock for threads, asyncio and trio."""
