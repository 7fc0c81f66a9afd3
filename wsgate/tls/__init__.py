"""TLS without I/O on sockets: certificates, policies, the choice by name, and trust in servers."""
