"""What a client keeps."""
