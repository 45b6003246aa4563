"""The processes of a running server: supervisor, HTTP workers, background work, embedded Valkey."""
