"""A rehearsal: the real definition of a sale, pretend stock and pretend money, a crowd, and a report with advice."""
