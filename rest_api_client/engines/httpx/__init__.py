"""The httpx and httpx2 engines: one for both libraries, sync and async.

Each connection is a lane: an httpx transport whose httpcore pool holds that one connection, made on our network
backend. A lane serves one exchange at a time, and idle lanes wait in a stock, by origin and TLS identity. So an
exchange that ends badly (cancelled in whatever step, aborted, out of time) takes its lane with it, whatever state
httpcore's pool was left in, and nobody else's connection suffers; it also spares httpcore's scan over all connections
for every request. How many lanes are on the wire is the gate's business.

Lanes are still `httpx.HTTPTransport`s, so that what patches httpx there keeps working.

From the top down: `engine` takes a request (`async_engine` is its other face), `holds` keeps what an exchange needs
until its body has ended, `lanes` are the connections and the stock of idle ones, `library` is the border to httpx
(`content` the bodies it is given). Below httpcore: `network` connects, `streams` is a connection in httpcore's words,
`wire` the socket and TLS, and `waits` the one place where threads and loops (`loop_waits`) differ.
"""
