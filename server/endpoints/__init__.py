"""What the server answers at each path."""
