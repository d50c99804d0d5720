//! The streams of a publisher: which they are, and how they are offered.

use std::sync::Arc;

use str0m::Rtc;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt, Rid, Rids, Simulcast, SimulcastLayer};

use super::clip::{Cursor, Track};
use super::connection::Connection;
use super::{ClientError, PublishOptions};

/// The rids of simulcast layers from low to high; fewer layers take the last ones.
const RIDS: [&str; 3] = ["q", "h", "f"];

/// One stream to send.
pub(super) struct Outgoing {
    pub(super) kind: MediaKind,
    pub(super) codec: Codec,
    pub(super) rid: Option<Rid>,
    pub(super) cursor: Cursor,
    pub(super) mid: Option<Mid>,
    /// Known once the server has answered.
    pub(super) payload_type: Option<Pt>,
}

impl Outgoing {
    fn new(kind: MediaKind, track: &Arc<Track>, rid: Option<&str>) -> Outgoing {
        Outgoing {
            kind,
            codec: track.codec,
            rid: rid.map(Rid::from),
            cursor: Cursor::new(Arc::clone(track)),
            mid: None,
            payload_type: None,
        }
    }

    /// The audio first, then the video from the lowest layer to the highest.
    pub(super) fn choose(options: &PublishOptions) -> Vec<Outgoing> {
        let clip = &options.clip;
        let audio = clip.audio.iter().filter(|_| options.audio);
        let mut streams: Vec<_> = audio.map(|audio| Outgoing::new(MediaKind::Audio, audio, None)).collect();
        let Some(highest) = clip.video.last().filter(|_| options.video) else {
            return streams;
        };
        let video = |track, rid| Outgoing::new(MediaKind::Video, track, rid);
        if !options.simulcast {
            streams.push(video(highest, None));
        } else if clip.video.len() == 1 {
            streams.extend(RIDS.map(|rid| video(highest, Some(rid))));
        } else {
            let skipped = RIDS.len().saturating_sub(clip.video.len());
            let layers = clip.video.iter().zip(RIDS.into_iter().skip(skipped));
            streams.extend(layers.map(|(layer, rid)| video(layer, Some(rid))));
        }
        streams
    }
}

/// Makes the offer: one m-line for each kind of media.
pub(super) fn describe(
    rtc: &mut Rtc,
    streams: &mut [Outgoing],
) -> Result<(String, SdpPendingOffer), ClientError> {
    let mut simulcast = Simulcast::new();
    for rid in streams.iter().filter_map(|stream| stream.rid) {
        simulcast.add_send_layer(SimulcastLayer::new(&rid));
    }
    let mut changes = rtc.sdp_api();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let mut of_kind = streams.iter_mut().filter(|stream| stream.kind == kind).peekable();
        if of_kind.peek().is_none() {
            continue;
        }
        let layers = (kind == MediaKind::Video && !simulcast.send.is_empty()).then(|| simulcast.clone());
        // One stream id for both, so that a viewer plays them in time with each other.
        let mid = changes.add_media(kind, Direction::SendOnly, Some("headwater".into()), None, layers);
        of_kind.for_each(|stream| stream.mid = Some(mid));
    }
    let (offer, pending) = changes.apply().ok_or(ClientError::Nothing)?;
    Ok((offer.to_sdp_string(), pending))
}

/// Takes the answer, opens sockets for its candidates and keeps the streams the server wants.
pub(super) async fn apply(
    connection: &mut Connection,
    pending: SdpPendingOffer,
    answer: &str,
    streams: &mut Vec<Outgoing>,
) -> Result<(), ClientError> {
    let parsed = SdpAnswer::from_sdp_string(answer)?;
    connection.rtc.sdp_api().accept_answer(pending, parsed)?;
    connection.reach_candidates(answer).await?;

    let offered = streams.iter().map(|stream| stream.codec.to_string()).collect::<Vec<_>>().join(", ");
    without_refused_layers(&connection.rtc, streams);
    streams.retain_mut(|stream| {
        stream.payload_type = accepted(&mut connection.rtc, stream);
        stream.payload_type.is_some()
    });
    if streams.is_empty() { Err(ClientError::Codecs(offered)) } else { Ok(()) }
}

/// A server without simulcast gets the highest layer as a plain stream.
fn without_refused_layers(rtc: &Rtc, streams: &mut Vec<Outgoing>) {
    let taken = |stream: &Outgoing| {
        let rids = stream.mid.and_then(|mid| rtc.media(mid)).map(|media| media.rids_tx());
        stream.rid.is_none_or(|rid| match rids {
            Some(Rids::Specific(taken)) => taken.contains(&rid),
            Some(Rids::Any) => true,
            Some(Rids::None) | None => false,
        })
    };
    let any_layer = streams.iter().any(|stream| stream.rid.is_some() && taken(stream));
    let highest = streams.pop_if(|stream| stream.rid.is_some() && !any_layer);
    streams.retain(taken);
    streams.extend(highest.map(|stream| Outgoing { rid: None, ..stream }));
}

fn accepted(rtc: &mut Rtc, stream: &Outgoing) -> Option<Pt> {
    let mid = stream.mid?;
    let media = rtc.media(mid)?;
    if !media.direction().is_sending() || media.disabled() {
        return None;
    }
    let writer = rtc.writer(mid)?;
    writer.payload_params().find(|params| params.spec().codec == stream.codec).map(|params| params.pt())
}
