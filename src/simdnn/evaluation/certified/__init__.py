"""What a guard's second opinion certifies, over labelled images."""
