"""Towards servers: dialling, idle connections and the HTTP/1 end of a connection."""
