"""Every fault of the mock server: its bytes on the wire, and what clients make of it (docs/wire-faults.md)."""
