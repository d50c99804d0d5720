"""Raw frames for the clients that are made of PyAV: see `client.py` for what is in them."""

import fractions

import av

import client


def video(count):
    """The picture with this number."""
    frame = av.VideoFrame(client.WIDTH, client.HEIGHT, "yuv420p")
    for plane, data in zip(frame.planes, client.picture(count)):
        rows = (data[at : at + plane.width] for at in range(0, len(data), plane.width))
        plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
    frame.pts, frame.time_base = count, fractions.Fraction(1, client.RATE)
    return frame


def audio(count):
    """The 20 ms of sound with this number."""
    frame = av.AudioFrame("s16", "stereo", 960)
    frame.planes[0].update(client.tone(count * 960, 960))
    frame.sample_rate, frame.pts = client.SAMPLES, count * 960
    frame.time_base = fractions.Fraction(1, client.SAMPLES)
    return frame
