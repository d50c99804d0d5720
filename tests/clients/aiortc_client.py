"""aiortc, a WebRTC library in Python, as publisher and viewer."""

import asyncio
import contextlib
import fractions
import time

from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

import client
import frames


class Paced(MediaStreamTrack):
    """Makes a frame at each `step` seconds."""

    step = 1.0

    def __init__(self, report):
        super().__init__()
        self.report, self.begun, self.count = report, time.monotonic(), 0

    async def recv(self):
        await asyncio.sleep(self.begun + self.count * self.step - time.monotonic())
        frame = self.make(self.count)
        self.count += 1
        return frame


class Picture(Paced):
    kind, step = "video", 1 / client.RATE

    def make(self, count):
        self.report.frame()
        frame = frames.video(count)
        # aiortc takes the time stamp for one of RTP.
        frame.pts, frame.time_base = frame.pts * 90000 // client.RATE, fractions.Fraction(1, 90000)
        return frame


class Tone(Paced):
    kind, step = "audio", 0.02

    def make(self, count):
        return frames.audio(count)


async def consume(track, report):
    """Takes all that is decoded, until the connection ends."""
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            if track.kind == "video":
                report.frame()
            else:
                report.pcm(bytes(frame.planes[0])[: frame.samples * 4])


async def run(want, report):
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    client.when_told_to_stop(lambda: loop.call_soon_threadsafe(stop.set))
    pc = RTCPeerConnection()
    tasks = []
    if want.action == "publish":
        pc.addTransceiver(Tone(report), direction="sendonly")
        video = pc.addTransceiver(Picture(report), direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in codecs if c.mimeType == f"video/{want.codec}"])
    else:
        pc.addTransceiver("audio", direction="recvonly")
        pc.addTransceiver("video", direction="recvonly")
        pc.on("track", lambda track: tasks.append(asyncio.ensure_future(consume(track, report))))

    @pc.on("connectionstatechange")
    def changed():
        report.state = pc.connectionState
        if pc.connectionState in ("failed", "closed"):
            stop.set()

    await pc.setLocalDescription(await pc.createOffer())
    location, answer = await asyncio.to_thread(client.post, want.url, pc.localDescription.sdp)
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await stop.wait()
    await asyncio.to_thread(client.delete, location)
    await pc.close()
    report.tell(last=True)


if __name__ == "__main__":
    wanted = client.arguments()
    told = client.Report(wanted.codec)
    try:
        asyncio.run(run(wanted, told))
    except Exception as error:
        told.fail(error)
