"""A command line as people type it, run as it stands: `line_client.py <line>`, with gst-launch-1.0 or ffmpeg.

What gst-launch-1.0 makes of its words is made here by the same parser, so that what arrives in its sinks can be
counted and heard; automatic sinks find nothing but fake ones here.
"""

import os
import shlex
import subprocess
import sys
import threading
from array import array

import client


def ffmpeg(words, report):
    """Runs it, and asks it to end as its user would."""
    run = subprocess.Popen(
        [*words, "-progress", "pipe:1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = []
    threading.Thread(target=lambda: said.extend(run.stderr), daemon=True).start()
    client.when_told_to_stop(lambda: (run.stdin.write("q"), run.stdin.flush()))
    for line in run.stdout:
        name, _, value = line.strip().partition("=")
        if name == "frame":
            report.state = "connected"
            report.frame(int(value) - report.frames)
    if run.wait():
        report.fail("".join(said[-20:]))
    report.tell(last=True)


def gstreamer(words, report):
    """Runs the pipeline, and ends it as Ctrl-C would."""
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst

    os.environ["GST_PLUGIN_FEATURE_RANK"] = "fakevideosink:MAX,fakeaudiosink:MAX,x265enc:NONE"
    Gst.init(None)
    pipe, loop = Gst.parse_launchv(words[1:]), GLib.MainLoop()

    def passes(pad, probe):
        structure = pad.get_current_caps().get_structure(0)
        if structure.get_name() == "video/x-raw":
            report.frame()
        elif structure.get_name() == "audio/x-raw":
            hear(structure, probe.get_buffer())
        return Gst.PadProbeReturn.OK

    def hear(structure, buffer):
        # Whatever the decoder makes of it: samples of 16 bits or floating, one side or two.
        kind, full = {"S16LE": ("h", 32768), "F32LE": ("f", 1)}[structure.get_value("format")]
        samples, sides = array(kind, buffer.extract_dup(0, buffer.get_size())), structure.get_value("channels")
        length = len(samples) // sides
        squares = [sum((s / full) ** 2 for s in samples[side::sides]) / (length or 1) for side in (0, sides - 1)]
        report.sound(*squares, length)

    for element in pipe.children:
        # What a publisher sends is counted where it is made.
        side = {"autovideosink": "sink", "autoaudiosink": "sink", "videotestsrc": "src"}.get(
            element.get_factory().get_name() if element.get_factory() else ""
        )
        if side:
            element.get_static_pad(side).add_probe(Gst.PadProbeType.BUFFER, passes)
    bus = pipe.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: report.fail(message.parse_error()))
    bus.connect("message::eos", lambda *_: report.fail("the pipeline ended by itself"))
    client.when_told_to_stop(lambda: GLib.idle_add(loop.quit))
    pipe.set_state(Gst.State.PLAYING)
    report.state = "connected"
    loop.run()
    pipe.set_state(Gst.State.NULL)
    report.tell(last=True)


if __name__ == "__main__":
    words, told = shlex.split(sys.argv[1].replace("\\\n", " ")), client.Report()
    {"ffmpeg": ffmpeg, "gst-launch-1.0": gstreamer}[words[0]](words, told)
