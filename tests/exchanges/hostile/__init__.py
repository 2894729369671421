"""A venue that attacks its clients, and what runs the real client against it, each as a process."""
