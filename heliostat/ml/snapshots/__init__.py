"""What a snapshot is made of: splits and their parts, the files that they are kept in, the digest, sorted values."""
