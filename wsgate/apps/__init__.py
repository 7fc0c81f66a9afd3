"""The bundled demo WebSocket servers: small applications that show what a gateway is for."""
