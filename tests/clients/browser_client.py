"""A browser, as publisher and viewer: `browser_client.py chromium|firefox publish|watch <url>`.

`browser.html` does the work; what it reports by HTTP is printed here.
"""

import http.server
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import urllib.parse

import client

PAGE = pathlib.Path(__file__).with_name("browser.html").read_bytes()
CHROMIUM = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
]  # fmt: skip
FIREFOX = {
    # It takes no media from loopback by itself.
    "media.peerconnection.ice.loopback": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "network.proxy.type": 0,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


# Firefox runs no AudioContext on a machine without sound: this one's goes nowhere.
SOUND = [
    "pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "-L", "module-null-sink", "-L",
]  # fmt: skip


def commands(browser, folder, url):
    """What is started for it, with a profile of its own."""
    if browser == "chromium":
        return [[os.environ.get("CHROMIUM", "chromium"), *CHROMIUM, f"--user-data-dir={folder}", url]]
    lines = (f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in FIREFOX.items())
    pathlib.Path(folder, "user.js").write_text("".join(lines))
    os.environ |= {"PULSE_SERVER": f"unix:{folder}/pulse", "PULSE_RUNTIME_PATH": folder, "HOME": folder}
    sound = [*SOUND, f"module-native-protocol-unix socket={folder}/pulse auth-anonymous=1"]
    firefox = [os.environ.get("FIREFOX", "firefox-esr"), "--headless", "--no-remote", "--profile", folder, url]
    return [sound, firefox]


def main():
    want = client.arguments("browser")
    stop, over = threading.Event(), threading.Event()
    client.when_told_to_stop(stop.set)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(PAGE, "text/html; charset=utf-8")

        def do_POST(self):
            line = self.rfile.read(int(self.headers["Content-Length"])).decode()
            print(line, flush=True)
            report = json.loads(line)
            if report["error"] or report["state"] == "closed":
                over.set()
            self.answer(json.dumps({"stop": stop.is_set()}).encode(), "application/json")

        def answer(self, body, kind):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    query = urllib.parse.urlencode({"action": want.action, "url": want.url, "codec": want.codec})
    page = f"http://127.0.0.1:{server.server_port}/?{query}"
    with tempfile.TemporaryDirectory(prefix="headwater-", ignore_cleanup_errors=True) as folder:
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Each in a group of its own, as a browser is many processes.
        started = [subprocess.Popen(c, start_new_session=True, **quiet) for c in commands(want.browser, folder, page)]
        over.wait()
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    main()
