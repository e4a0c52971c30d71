"""`anatomaskgan evaluate` and `evaluate utility`: their options and what they run."""
