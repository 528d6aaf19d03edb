"""Networks that the project trains."""
