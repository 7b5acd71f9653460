"""Ends TLS before a server that speaks none.  tls.py HOST:PORT HOST:PORT CERTIFICATE KEY"""

import asyncio
import ssl
import sys

LISTEN, UPSTREAM, CERTIFICATE, KEY = sys.argv[1:]


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def relay(reader, writer):
    host, port = UPSTREAM.split(":")
    try:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return writer.close()
    await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    host, port = LISTEN.split(":")
    server = await asyncio.start_server(relay, host, int(port), ssl=context)
    print(f"listening https://{LISTEN}", flush=True)
    await server.serve_forever()


asyncio.run(main())
