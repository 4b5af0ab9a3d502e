"""HTTP's values and formats: pure code that parses, writes and checks; nothing here sends or waits."""
