"""One file for each venue, with its REST dialect and, where it pushes, its WebSocket dialect."""
