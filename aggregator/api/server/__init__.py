"""uvicorn as this service runs it: its protocols with bounds, slow readers, and answers written without Starlette."""
