"""What all scripts share: what they are told, what they tell, and the exchange of descriptions by HTTP.

    <script> publish|watch <url> [--codec VP8]

A script runs until its input ends. It prints what it has seen as a JSON object, twice a second:
`frames` (sent, or decoded) and `gap` (the longest time without one, in seconds), `left` and `right` (how loud, 0 to 1,
since the line before), `state`, `codec`, and `error` where it gave up. Publishers send a picture that moves, and a tone
on the left side alone.
"""

import argparse
import json
import math
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from array import array

WIDTH, HEIGHT, RATE = 320, 180, 15
TONE, SAMPLES = 440, 48000
EVERY = 0.5


def arguments(*more):
    """What the test wants of a script."""
    parser = argparse.ArgumentParser()
    for name in more:
        parser.add_argument(name)
    parser.add_argument("action", choices=["publish", "watch"])
    parser.add_argument("url")
    parser.add_argument("--codec", default="VP8")
    return parser.parse_args()


class Report:
    """Counts what happens and tells it, twice a second, from a thread of its own."""

    def __init__(self, codec="", quiet=False):
        self.codec, self.state, self.error = codec, "connecting", None
        self.frames, self.gap, self.last = 0, 0.0, None
        self.sums, self.samples = [0.0, 0.0], 0
        self.lock, self.over = threading.Lock(), False
        if not quiet:
            threading.Thread(target=self.tell_on, daemon=True).start()

    def frame(self, count=1):
        """So many more frames."""
        with self.lock:
            now = time.monotonic()
            self.gap = max(self.gap, now - (self.last or now))
            self.frames, self.last = self.frames + count, now

    def sound(self, left, right, samples):
        """The mean square of each side, over so many samples."""
        with self.lock:
            self.sums = [self.sums[0] + left * samples, self.sums[1] + right * samples]
            self.samples += samples

    def pcm(self, stereo):
        """Samples of 16 bits, left and right by turns."""
        sides = [array("h", stereo)[side::2] for side in (0, 1)]
        squares = [sum(s * s for s in side) / (len(side) or 1) / 32768**2 for side in sides]
        self.sound(*squares, len(sides[0]))

    def tell(self, last=False):
        """Prints a line. After the last one only what went wrong is told, whatever another thread is about to tell."""
        with self.lock:
            if self.over and not self.error:
                return
            self.over = self.over or last
            left, right = (math.sqrt(total / (self.samples or 1)) for total in self.sums)
            gap = max(self.gap, time.monotonic() - self.last) if self.last else 0.0
            state = "closed" if last else self.state
            line = dict(state=state, codec=self.codec, frames=self.frames, gap=round(gap, 2))
            line |= dict(left=round(left, 4), right=round(right, 4), error=self.error)
            self.sums, self.samples = [0.0, 0.0], 0
            print(json.dumps(line), flush=True)

    def tell_on(self):
        while True:
            self.tell()
            time.sleep(EVERY)

    def fail(self, why):
        """Ends the script with the reason."""
        self.error = str(why)
        self.tell()
        os._exit(1)


def when_told_to_stop(call):
    """Calls once the test closes the script's input."""

    def wait():
        sys.stdin.read()
        call()

    threading.Thread(target=wait, daemon=True).start()


def post(url, offer):
    """The session's address and the answer."""
    request = urllib.request.Request(url, offer.encode(), {"Content-Type": "application/sdp"})
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            location = urllib.parse.urljoin(reply.url, reply.headers["Location"])
            return location, reply.read().decode()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{error.code} {error.read().decode()}") from None


def delete(location):
    """Ends a session; one that is gone is as good."""
    try:
        urllib.request.urlopen(urllib.request.Request(location, method="DELETE"), timeout=20).close()
    except urllib.error.HTTPError as error:
        if error.code not in (404, 410):
            raise


def tone(begin, samples):
    """Samples of 16 bits, stereo, of a tone on the left side."""
    stereo = array("h", bytes(4 * samples))
    for n in range(samples):
        stereo[2 * n] = int(16000 * math.sin(2 * math.pi * TONE * (begin + n) / SAMPLES))
    return stereo.tobytes()


def picture(number):
    """The three planes (yuv420p) of a picture in which a bar moves."""
    at = number * 4 % WIDTH
    row = bytearray(b"\x30" * WIDTH)
    row[at : at + 32] = b"\xd0" * len(row[at : at + 32])
    chroma = b"\x80" * (WIDTH // 2 * HEIGHT // 2)
    return bytes(row) * HEIGHT, chroma, chroma
