"""How long GStreamer waits at an RTMP server for the first picture that can be shown.

`rtmp_client.py <rtmp url>` prints it, in ms from its start, and stays until its input ends.
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

LIMIT_SECONDS = 20


def watch(url):
    """A player that has a picture, and how long it was from its start to the first key frame, in ms."""
    pipe = Gst.parse_launch(f"rtmp2src location={url} ! flvdemux name=parts parts.video ! fakesink name=sink sync=false")
    loop, key = GLib.MainLoop(), []

    def seen(_, info):
        if info.get_buffer().has_flags(Gst.BufferFlags.DELTA_UNIT):
            return Gst.PadProbeReturn.OK
        key.append(time.monotonic())
        GLib.idle_add(loop.quit)
        return Gst.PadProbeReturn.REMOVE

    pipe.get_by_name("sink").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, seen)
    GLib.timeout_add_seconds(LIMIT_SECONDS, loop.quit)
    began = time.monotonic()
    pipe.set_state(Gst.State.PLAYING)
    loop.run()
    if not key:
        sys.exit(f"no picture of {url}")
    return pipe, 1000 * (key[0] - began)


if __name__ == "__main__":
    Gst.init(None)
    player, waited = watch(sys.argv[1])
    print(round(waited, 1), flush=True)
    sys.stdin.read()
    player.set_state(Gst.State.NULL)
