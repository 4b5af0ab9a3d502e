"""Players bring requests to a stage and play the scripts it gives back: on a socket, or in process."""
