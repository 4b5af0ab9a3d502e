"""Authentication: schemes as flows that yield requests and are sent their answers."""
