"""Orders on their way out: the feed, the events of a sale, and the schemas of both."""
