"""GStreamer's `webrtcbin`, as publisher and viewer: the bare element, its descriptions as it writes them."""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC

import client

ENCODERS = {
    "VP8": "vp8enc deadline=1 keyframe-max-dist=30 ! rtpvp8pay picture-id-mode=15-bit",
    "VP9": "vp9enc deadline=1 cpu-used=8 keyframe-max-dist=30 ! rtpvp9pay picture-id-mode=15-bit",
    "H264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! video/x-h264,profile=constrained-baseline"
    " ! rtph264pay config-interval=-1 aggregate-mode=zero-latency",
}
VIDEO = (
    f"videotestsrc is-live=true pattern=ball ! video/x-raw,width={client.WIDTH},height={client.HEIGHT}"
    f",framerate={client.RATE}/1 ! identity name=pictures signal-handoffs=true ! %s pt=96 ! web."
)
AUDIO = (
    f"audiotestsrc is-live=true freq={client.TONE} volume=0.5 ! audio/x-raw,rate=48000,channels=1"
    " ! audiopanorama panorama=-1 ! audioconvert ! opusenc ! rtpopuspay pt=111 ! web."
)
BIN = "webrtcbin name=web bundle-policy=max-bundle "
# What a viewer takes: one structure for each codec.
TAKES = {
    "audio": "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,encoding-params=(string)2",
    "video": "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000"
    ";application/x-rtp,media=video,encoding-name=H264,payload=97,clock-rate=90000,packetization-mode=(string)1"
    ",profile-level-id=(string)42e01f",
}
SINKS = {
    "audio": "audioconvert ! audio/x-raw,format=S16LE,channels=2 ! fakesink name=sounds signal-handoffs=true sync=false",
    "video": "videoconvert ! fakesink name=pictures signal-handoffs=true sync=false",
}


class Client:
    def __init__(self, want, report):
        self.want, self.report = want, report
        self.asked, self.location, self.dtls = False, None, None
        self.loop = GLib.MainLoop()
        publishes = want.action == "publish"
        self.pipe = Gst.Pipeline.new()
        media = f"{VIDEO % ENCODERS[want.codec]} {AUDIO}" if publishes else ""
        made = Gst.parse_launch(BIN + media)
        self.pipe.add(made)
        self.web = self.pipe.get_by_name("web")
        self.web.connect("notify::connection-state", self.changed)
        # Not before all pads know what they get: the offer would lack it.
        self.web.connect("on-negotiation-needed", self.needed)
        if publishes:
            self.pipe.get_by_name("pictures").connect("handoff", lambda *_: report.frame())
            for index in range(2):
                transceiver = self.web.emit("get-transceiver", index)
                transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        else:
            for caps in TAKES.values():
                receive = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
                self.web.emit("add-transceiver", receive, Gst.Caps.from_string(caps))
            self.web.connect("pad-added", self.pad_added)
        bus = self.pipe.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: report.fail(message.parse_error()))
        client.when_told_to_stop(lambda: GLib.idle_add(self.loop.quit))

    def run(self):
        self.pipe.set_state(Gst.State.PLAYING)
        self.loop.run()
        if self.location:
            client.delete(self.location)
        self.pipe.set_state(Gst.State.NULL)
        self.report.tell(last=True)

    def needed(self, web):
        if not self.asked:
            self.asked = True
            web.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered))

    def offered(self, promise):
        promise.wait()
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.web.connect("notify::ice-gathering-state", self.gathered)
        self.web.emit("set-local-description", offer, None)

    def gathered(self, web, _):
        if web.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return
        try:
            offer = web.get_property("local-description").sdp.as_text()
            self.location, answer = client.post(self.want.url, offer)
        except Exception as error:
            self.report.fail(error)
        _, sdp = GstSdp.SDPMessage.new_from_text(answer)
        described = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        web.emit("set-remote-description", described, None)

    def changed(self, web, _):
        self.report.state = web.get_property("connection-state").value_nick
        if self.report.state == "connected" and not self.dtls:
            self.dtls = web.emit("get-transceiver", 0).get_property("receiver").get_property("transport")
            self.dtls.connect("notify::state", self.secured)

    def secured(self, dtls, _):
        """Tells an end as browsers do: by UDP the connection stays "connected", and its DTLS transport alone is closed."""
        if dtls.get_property("state") == GstWebRTC.WebRTCDTLSTransportState.CLOSED:
            self.report.state = "disconnected"

    def pad_added(self, _, pad):
        """Decodes what comes, whatever it is."""
        decode = Gst.ElementFactory.make("decodebin")
        decode.connect("pad-added", self.decoded)
        self.pipe.add(decode)
        decode.sync_state_with_parent()
        pad.link(decode.get_static_pad("sink"))

    def decoded(self, _, pad):
        kind = pad.get_current_caps().get_structure(0).get_name().split("/")[0]
        sink = Gst.parse_bin_from_description(SINKS[kind], True)
        self.pipe.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))
        if kind == "video":
            sink.get_by_name("pictures").connect("handoff", lambda *_: self.report.frame())
        else:
            sink.get_by_name("sounds").connect("handoff", self.heard)

    def heard(self, _, buffer, __):
        self.report.pcm(buffer.extract_dup(0, buffer.get_size()))


if __name__ == "__main__":
    Gst.init(None)
    wanted = client.arguments()
    Client(wanted, client.Report(wanted.codec)).run()
