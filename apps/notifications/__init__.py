"""Push notifications: the bus that services push to and the websocket process that fans it out.

A message is `{"event", "extra", "_created", "_process"}` and, where it is not meant for everybody,
`filters` (delivery contract 9). Nothing is replayed: what a client misses is gone.
"""
