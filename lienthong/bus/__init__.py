"""How a message travels: operations, flows, the outbox and the gateway."""
