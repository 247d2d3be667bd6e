"""Many pieces of work on several processes or machines, any of which may die."""
