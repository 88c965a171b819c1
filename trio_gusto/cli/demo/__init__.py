"""The demo: hash every file of a folder, one job per file, and let a worker process crash midway."""
