"""What a prepared corpus holds, and what its splits share."""
