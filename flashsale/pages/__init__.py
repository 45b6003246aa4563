"""The shop page and the console: static files, and how they are handed out."""
