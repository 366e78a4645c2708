"""What each operation does: who may, whether the input is right, what is written and announced."""
