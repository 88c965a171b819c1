"""A durable background-job scheduler for Trio."""
