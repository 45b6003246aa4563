"""One file a migration; once released, none is ever changed."""
