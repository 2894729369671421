"""What the processes of one deployment share through Redis: jobs, refresh requests, status, popularity, prices."""
