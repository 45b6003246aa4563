"""Redis or Valkey behind plain calls; the only place, beside `scripts`, that knows it is one."""
