"""A WHIP and WHEP server made of aiortc: `aiortc_server.py <port>`.

What comes to /whip is decoded and counted, as any viewer's media; /whep sends what `aiortc_client.py` publishes.
"""

import argparse
import asyncio
import http.server
import threading

from aiortc import RTCPeerConnection, RTCSessionDescription

import client
from aiortc_client import Picture, Tone, consume

SESSIONS = {}


async def accept(path, offer, report):
    """The answer, and where the session is."""
    pc = RTCPeerConnection()
    if path == "/whip":
        pc.on("track", lambda track: asyncio.ensure_future(consume(track, report)))
    await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    if path == "/whep":
        pc.addTrack(Tone(client.Report(quiet=True)))
        pc.addTrack(Picture(client.Report(quiet=True)))
    await pc.setLocalDescription(await pc.createAnswer())
    location = f"/session/{id(pc)}"
    SESSIONS[location] = pc
    return location, pc.localDescription.sdp


def serve(port, loop, report):
    def wait(job):
        return asyncio.run_coroutine_threadsafe(job, loop).result()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
            location, answer = wait(accept(self.path, offer, report))
            self.send_response(201)
            self.send_header("Location", location)
            self.send_header("Content-Type", "application/sdp")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def do_DELETE(self):
            wait(SESSIONS.pop(self.path).close())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    report, stop, loop = client.Report(), asyncio.Event(), asyncio.get_running_loop()
    client.when_told_to_stop(lambda: loop.call_soon_threadsafe(stop.set))
    serve(parser.parse_args().port, loop, report)
    report.state = "listening"
    await stop.wait()
    report.tell(last=True)


if __name__ == "__main__":
    asyncio.run(main())
