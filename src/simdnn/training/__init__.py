"""Networks that the project trains: auxiliary networks, and those of the benchmark."""
