"""Who trains: a process, processes on this machine, or a Ray cluster."""
