"""The fast path: requests that are answered without Starlette and without a task."""
