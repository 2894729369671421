"""One module for each kind of outlet, as its own documentation describes the receiver; none knows another."""
