"""What the console of a brand asks for besides the views that everybody has."""
