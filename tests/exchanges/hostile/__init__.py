"""A venue that attacks its clients, and a probe that runs the real client against it, each as a process."""
