"""State that processes of a deployment share through Redis: jobs, refresh requests, status, popularity, prices."""
