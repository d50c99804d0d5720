// How the media of a publisher is encoded: codec order, layers, bitrates.

const SMALLEST_BITRATE = 80_000;
const USUAL_BITRATE = 2_500_000;

/** Share of the whole bitrate and the scale of each simulcast layer, lowest first as browsers expect. */
const LAYERS = [
  { rid: 'q', scaleResolutionDownBy: 4, share: 0.08 },
  { rid: 'h', scaleResolutionDownBy: 2, share: 0.24 },
  { rid: 'f', scaleResolutionDownBy: 1, share: 0.68 },
];

/** Video codecs this browser can send, such as `VP8`. */
export function codecs() {
  const all = RTCRtpSender.getCapabilities?.('video')?.codecs ?? [];
  const helpers = /^(rtx|red|ulpfec|flexfec-03)$/i;
  return [...new Set(all.map(({ mimeType }) => mimeType.split('/')[1]))].filter((name) => !helpers.test(name));
}

/** `sendEncodings` for a whole bitrate in bits per second; what is not given is the browser's choice. */
export function encodings({ simulcast, codec, bitrate, fps }) {
  const rate = fps ? { maxFramerate: fps } : {};
  if (!simulcast) return [{ ...(bitrate ? { maxBitrate: bitrate } : {}), ...rate }];
  // VP9 and AV1 would make spatial layers of one stream unless told that each encoding stands alone.
  const alone = ['VP9', 'AV1'].includes(codec) ? { scalabilityMode: 'L1T1' } : {};
  return LAYERS.map(({ rid, scaleResolutionDownBy, share }) => ({
    rid,
    scaleResolutionDownBy,
    maxBitrate: Math.max(SMALLEST_BITRATE, Math.round((bitrate ?? USUAL_BITRATE) * share)),
    ...rate,
    ...alone,
  }));
}

/** Whether the sound of a stream has two channels, as far as the browser says. */
export function isStereo(stream) {
  const [audio] = stream.getAudioTracks();
  return Boolean(audio) && audio.getSettings().channelCount !== 1;
}

/** Adds the tracks of a stream to a peer connection, ready to offer. */
export function send(pc, stream, { video, audio }) {
  const [sound] = stream.getAudioTracks();
  const [picture] = stream.getVideoTracks();
  const add = (track, sendEncodings) => pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], sendEncodings });
  if (sound) add(sound, audio.bitrate ? [{ maxBitrate: audio.bitrate }] : []);
  if (picture) prefer(add(picture, encodings(video)), video.codec);
}

function prefer(transceiver, codec) {
  if (!codec || codec === 'auto' || !transceiver.setCodecPreferences) return;
  const wanted = ({ mimeType }) => mimeType.toLowerCase() === `video/${codec.toLowerCase()}`;
  for (const side of [RTCRtpSender, RTCRtpReceiver]) {
    const all = side.getCapabilities('video')?.codecs ?? [];
    if (!all.some(wanted)) continue;
    try {
      transceiver.setCodecPreferences([...all.filter(wanted), ...all.filter((one) => !wanted(one))]);
      return;
    } catch {
      // Browsers differ in whose capabilities they accept here.
    }
  }
}
