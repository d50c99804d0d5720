// Where the media of a publisher comes from: camera, screen, sound alone, or the generated picture.

import { generated } from './generated.js';

/** The source could not be opened; the message is for people. */
export class SourceError extends Error {}

/**
 * Opens a source and resolves with `{ stream, end }`.
 * `kind` is `camera`, `screen`, `sound` or `generated`; `camera` and `microphone` are device ids or '';
 * `music` leaves the sound as the microphone has it.
 */
export async function open({ kind, width, height, fps, camera, microphone, music, label }) {
  if (kind === 'generated') return generated({ width, height, fps, label });
  if (!navigator.mediaDevices) {
    throw new SourceError('Cameras and screens are available only over HTTPS or on localhost. The generated picture works here.');
  }
  const sound = hearing(microphone, music);
  const stream = await {
    camera: () => devices({ width, height, fps, camera, sound }),
    screen: () => screen({ width, height, fps }),
    sound: () => alone(sound),
  }[kind]();
  return { stream, end: () => stream.getTracks().forEach((track) => track.stop()) };
}

/** The device of that id and no other; any where it is ''. */
export const exactly = (id) => (id ? { deviceId: { exact: id } } : {});

/** Speech is cleaned; that of music would cut notes, and leaves one channel. */
export function hearing(microphone, music = false) {
  const cleaned = { echoCancellation: !music, noiseSuppression: !music, autoGainControl: !music };
  return { ...cleaned, ...(music ? { channelCount: { ideal: 2 } } : {}), ...exactly(microphone) };
}

async function devices({ width, height, fps, camera, sound: audio }) {
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: fps }, ...exactly(camera) };
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio });
  } catch (error) {
    if (error.name !== 'NotFoundError') throw explain(error, 'camera and microphone');
  }
  // One of the two is missing: what there is will do.
  try {
    return await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    throw explain(error, 'camera');
  }
}

async function alone(audio) {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw explain(error, 'microphone');
  }
}

async function screen({ width, height, fps }) {
  if (!navigator.mediaDevices.getDisplayMedia) throw new SourceError('This browser cannot share a screen.');
  try {
    const video = { width: { max: width }, height: { max: height }, frameRate: { ideal: fps } };
    const stream = await navigator.mediaDevices.getDisplayMedia({ video, audio: true });
    // Text stays sharp when bandwidth is short.
    for (const track of stream.getVideoTracks()) track.contentHint = 'detail';
    return stream;
  } catch (error) {
    throw explain(error, 'screen');
  }
}

/** Why `what` could not be opened, in words for people. */
export function explain(error, what) {
  const reasons = {
    NotAllowedError: `The browser was not allowed to use the ${what}. Allow it in the address bar or the system settings, then try again.`,
    NotFoundError: `No ${what} was found on this device.`,
    NotReadableError: `The ${what} is in use by another program or does not respond.`,
    OverconstrainedError: `The chosen ${what} is not there any more. Choose another one.`,
    InvalidStateError: `Choose the ${what} with a click on this page.`,
  };
  return new SourceError(reasons[error.name] ?? `The ${what} could not be opened: ${error.message}`);
}

/** `{ cameras, microphones, speakers }`, each of `{ id, label }`. */
export async function listDevices() {
  const all = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  const of = (kind, name) => all
    .filter((device) => device.kind === kind && device.deviceId)
    .map((device, index) => ({ id: device.deviceId, label: device.label || `${name} ${index + 1}` }));
  return { cameras: of('videoinput', 'Camera'), microphones: of('audioinput', 'Microphone'), speakers: of('audiooutput', 'Loudspeaker') };
}
