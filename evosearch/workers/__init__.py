"""Who trains: this process, processes on this machine, or a Ray cluster."""
