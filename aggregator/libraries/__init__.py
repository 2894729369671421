"""Outside libraries: which optional ones are installed (`extras`), and the sessions of AWS's (`aws`)."""
