//! What a room holds in the workers: `media/room.rs` without a worker.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use headwater::protocol::data::{Channel, PipedData, ProducerKind, SealKey};
use headwater::protocol::edge::CreatePipeProducer;
use headwater::protocol::ids::{PipeId, ProducerId, RoomId, SessionId};
use headwater::protocol::media::{
    Carried, Measured, MediaError, Medium, PipeEnd, PipeFlow, Piped, ProducerFlow, ProducerInfo, SessionFlow,
    TransportInfo, UplinkFlow,
};
use headwater::protocol::rtp::{
    DtlsParameters, DtlsRole, IceParameters, MimeTypeAudio, MimeTypeVideo, RtpCodecParameters,
    RtpEncodingParameters, RtpParameters,
};

use headwater::room::core::{Done, Input};

use crate::ears::Receiver;
use crate::flow::{Association, Flow};
use crate::users::ClientId;
use crate::world::{At, Pid};

/// Bytes of a producer in each step.
const VIDEO: u64 = 31_250;
const AUDIO: u64 = 2_000;

/// What a publisher sends in one medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Opus,
    Video(MimeTypeVideo),
    /// Messages, which nobody counts and of which nobody reports.
    Messages,
}

#[derive(Debug)]
pub struct Uplink {
    pub client: ClientId,
    pub producers: Vec<Produced>,
    /// Whether its connection stands; none while it is being made.
    pub up: Option<bool>,
    pub bytes: u64,
    pub bitrate: u64,
    /// Anything that arrived on its connection: media, or but checks.
    pub received: u64,
}

#[derive(Debug, Clone)]
pub struct Produced {
    pub id: ProducerId,
    pub codec: Codec,
    pub paused: bool,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Watcher {
    pub client: ClientId,
    pub shows: OfKind<ProducerId>,
    pub up: Option<bool>,
    pub bytes: u64,
    /// Anything that arrived on its connection.
    pub received: u64,
}

/// One of each kind of media, or none.
#[derive(Debug)]
pub struct OfKind<T>([Option<T>; 3]);

impl<T> Default for OfKind<T> {
    fn default() -> Self {
        Self([None, None, None])
    }
}

impl<T> OfKind<T> {
    fn place(kind: ProducerKind) -> usize {
        match kind {
            ProducerKind::Audio => 0,
            ProducerKind::Video => 1,
            ProducerKind::Data => 2,
        }
    }

    pub fn get(&self, kind: ProducerKind) -> Option<&T> {
        self.0[Self::place(kind)].as_ref()
    }

    pub fn insert(&mut self, kind: ProducerKind, it: T) {
        self.0[Self::place(kind)] = Some(it);
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.values().next().is_none()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for it in &mut self.0 {
            it.take_if(|it| !keep(it));
        }
    }
}

#[derive(Debug)]
pub struct Outlet {
    pub end: PipeEnd,
    pub to: Option<(IpAddr, u16)>,
    /// With the SSRC of each.
    pub sends: BTreeMap<ProducerId, u32>,
    pub bytes: u64,
    pub bitrate: u64,
    pub reports: u64,
    /// Whether the child has said that it took the pipe.
    pub open: bool,
    /// What arrived of each producer at the other end, and when a report last came back.
    pub arrived: BTreeMap<ProducerId, Flow>,
    pub reported: At,
}

#[derive(Debug)]
pub struct Inlet {
    pub end: PipeEnd,
    pub from: Option<(IpAddr, u16)>,
    pub producers: BTreeMap<ProducerId, Received>,
    pub bytes: u64,
    pub bitrate: u64,
    pub report_at: At,
    pub association: Association,
}

#[derive(Debug)]
pub struct Received {
    pub codec: Codec,
    pub paused: bool,
    /// Nothing but this is taken for it.
    pub ssrc: u32,
    pub bytes: u64,
    pub arrived: Flow,
}

/// All that a room has in the workers.
#[derive(Debug, Default)]
pub struct RoomMedia {
    /// Its worker has died.
    pub dead: bool,
    pub uplinks: BTreeMap<SessionId, Uplink>,
    pub viewers: BTreeMap<SessionId, Watcher>,
    pub receivers: BTreeMap<SessionId, Receiver>,
    pub outlets: BTreeMap<PipeId, Outlet>,
    pub inlets: BTreeMap<PipeId, Inlet>,
    /// By which pipe what is shown and sent on of a producer comes.
    pub current: BTreeMap<ProducerId, PipeId>,
    ssrcs: u32,
}

/// Which pipe end listens at an address.
pub type Ports = HashMap<(IpAddr, u16), (Pid, RoomId, PipeId)>;

impl Codec {
    pub fn kind(self) -> ProducerKind {
        match self {
            Self::Opus => ProducerKind::Audio,
            Self::Video(_) => ProducerKind::Video,
            Self::Messages => ProducerKind::Data,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Opus => MimeTypeAudio::Opus.as_str().to_owned(),
            Self::Video(video) => video.as_str().to_owned(),
            Self::Messages => String::new(),
        }
    }

    pub fn size(self) -> u64 {
        match self {
            Self::Opus => AUDIO,
            Self::Video(_) => VIDEO,
            Self::Messages => 0,
        }
    }

    /// What a pipe carries of it.
    fn carried(self, ssrc: u32) -> Carried {
        match self.kind().media() {
            Some(kind) => Carried::Media(kind, self.parameters(ssrc)),
            None => {
                Carried::Data(PipedData { stream_id: ssrc as u16, key: SealKey([7; 32]), channel: channel() })
            }
        }
    }

    /// How it is described.
    pub fn parameters(self, ssrc: u32) -> RtpParameters {
        let codec = match self {
            Self::Opus | Self::Messages => RtpCodecParameters::Audio {
                mime_type: MimeTypeAudio::Opus,
                payload_type: 111,
                clock_rate: NonZeroU32::new(48_000).unwrap(),
                channels: NonZeroU8::new(2).unwrap(),
                parameters: Default::default(),
                rtcp_feedback: Vec::new(),
            },
            Self::Video(mime_type) => RtpCodecParameters::Video {
                mime_type,
                payload_type: 96,
                clock_rate: NonZeroU32::new(90_000).unwrap(),
                parameters: Default::default(),
                rtcp_feedback: Vec::new(),
            },
        };
        RtpParameters {
            codecs: vec![codec],
            encodings: vec![RtpEncodingParameters { ssrc: Some(ssrc), ..RtpEncodingParameters::default() }],
            ..RtpParameters::default()
        }
    }

    /// The codec and SSRC, or SCTP stream, of what a pipe carries.
    fn of(carried: &Carried) -> (Self, u32) {
        match carried {
            Carried::Data(data) => (Self::Messages, u32::from(data.stream_id)),
            Carried::Media(_, rtp) => {
                let ssrc = rtp.encodings.first().and_then(|encoding| encoding.ssrc).unwrap_or(0);
                match rtp.codecs.first() {
                    Some(RtpCodecParameters::Video { mime_type, .. }) => (Self::Video(*mime_type), ssrc),
                    _ => (Self::Opus, ssrc),
                }
            }
        }
    }
}

impl Produced {
    pub fn new(id: ProducerId, codec: Codec) -> Self {
        Self { id, codec, paused: false, bytes: 0 }
    }
}

fn info(id: ProducerId, codec: Codec, paused: bool) -> ProducerInfo {
    ProducerInfo {
        id,
        kind: codec.kind(),
        mime_type: codec.name(),
        encodings: 1,
        paused,
        label: String::new(),
        app_data: Default::default(),
        channel: codec.kind().is_data().then(channel),
    }
}

fn channel() -> Channel {
    Channel { ordered: true, max_packet_life_time: None, max_retransmits: None, protocol: "".into() }
}

fn worker() -> MediaError {
    MediaError::Worker("the worker has died".to_owned())
}

/// Our end of a connection, as SDP would tell it.
pub fn transport(session: SessionId) -> TransportInfo {
    let ice = IceParameters {
        username_fragment: session.to_string(),
        password: String::new(),
        ice_lite: Some(true),
    };
    TransportInfo { ice, candidates: Vec::new(), dtls: dtls(), sctp: None }
}

pub fn dtls() -> DtlsParameters {
    DtlsParameters { role: DtlsRole::Auto, fingerprints: Vec::new() }
}

impl RoomMedia {
    /// A child has answered: from then on a pipe is more than an attempt.
    pub fn note(&mut self, input: &Input) {
        if let Input::Done(Done::Told(_, pipe, Ok(()), _)) = input
            && let Some(outlet) = self.outlets.get_mut(pipe)
        {
            outlet.open = true;
        }
    }

    pub fn alive(&self) -> Result<(), MediaError> {
        if self.dead { Err(worker()) } else { Ok(()) }
    }

    /// Everyone who is connected.
    pub fn clients(&self) -> Vec<(ClientId, SessionId)> {
        let uplinks = self.uplinks.iter().map(|(session, uplink)| (uplink.client, *session));
        let receivers = self.receivers.values().map(|receiver| (receiver.client, receiver.session));
        let viewers = self.viewers.iter().map(|(session, viewer)| (viewer.client, *session));
        uplinks.chain(viewers).chain(receivers).collect()
    }

    pub fn connections(&self) -> Vec<(SessionId, bool)> {
        let uplinks = self.uplinks.iter().map(|(session, uplink)| (*session, uplink.up));
        let viewers = self.viewers.iter().map(|(session, viewer)| (*session, viewer.up));
        uplinks.chain(viewers).filter_map(|(session, up)| Some((session, up?))).collect()
    }

    /// Notes how a connection stands; whether it is there.
    pub fn set_up(&mut self, session: SessionId, up: bool) -> bool {
        if let Some(uplink) = self.uplinks.get_mut(&session) {
            uplink.up = Some(up);
            return true;
        }
        self.viewers.get_mut(&session).map(|viewer| viewer.up = Some(up)).is_some()
    }

    pub fn publish(
        &mut self,
        session: SessionId,
        client: ClientId,
        producers: Vec<Produced>,
    ) -> Result<(TransportInfo, Vec<ProducerInfo>), MediaError> {
        self.alive()?;
        let infos = producers.iter().map(|own| info(own.id, own.codec, own.paused)).collect();
        self.uplinks
            .insert(session, Uplink { client, producers, up: None, bytes: 0, bitrate: 0, received: 0 });
        Ok((transport(session), infos))
    }

    pub fn unpublish(&mut self, session: SessionId) -> Option<ClientId> {
        let uplink = self.uplinks.remove(&session)?;
        uplink.producers.iter().for_each(|producer| self.forget(producer.id));
        Some(uplink.client)
    }

    pub fn watch(
        &mut self,
        session: SessionId,
        client: ClientId,
        sources: &[ProducerInfo],
    ) -> Result<(TransportInfo, Vec<Medium>), MediaError> {
        self.alive()?;
        let viewer = Watcher { client, shows: OfKind::default(), up: None, bytes: 0, received: 0 };
        self.viewers.insert(session, viewer);
        if let Err(error) = self.show(session, sources) {
            self.viewers.remove(&session);
            return Err(error);
        }
        Ok((transport(session), Vec::new()))
    }

    pub fn show(&mut self, session: SessionId, sources: &[ProducerInfo]) -> Result<(), MediaError> {
        self.alive()?;
        for source in sources {
            self.producer(source.id).ok_or(MediaError::UnknownProducer)?;
            let viewer = self.viewers.get_mut(&session).ok_or(MediaError::UnknownSession)?;
            assert!(!source.kind.is_data(), "a viewer is shown media alone");
            viewer.shows.insert(source.kind, source.id);
        }
        Ok(())
    }

    /// A producer's codec, and whether it is paused.
    pub fn producer(&self, id: ProducerId) -> Option<(Codec, bool)> {
        let mut uplinks = self.uplinks.values().flat_map(|uplink| &uplink.producers);
        let own = uplinks.find(|own| own.id == id).map(|own| (own.codec, own.paused));
        own.or_else(|| {
            let received = self.inlets.get(self.current.get(&id)?)?.producers.get(&id)?;
            Some((received.codec, received.paused))
        })
    }

    pub fn set_paused(&mut self, id: ProducerId, paused: bool) -> Result<(), MediaError> {
        self.alive()?;
        let mut own = self.uplinks.values_mut().flat_map(|uplink| &mut uplink.producers);
        if let Some(own) = own.find(|own| own.id == id) {
            own.paused = paused;
            return Ok(());
        }
        let received = self.inlets.values_mut().filter_map(|inlet| inlet.producers.get_mut(&id));
        match received.map(|received| received.paused = paused).count() {
            0 => Err(MediaError::UnknownProducer),
            _ => Ok(()),
        }
    }

    pub fn open_outlet(&mut self, pipe: PipeId, end: PipeEnd) -> Result<PipeEnd, MediaError> {
        self.alive()?;
        let outlet = Outlet {
            end: end.clone(),
            to: None,
            sends: BTreeMap::new(),
            bytes: 0,
            bitrate: 0,
            reports: 0,
            open: false,
            arrived: BTreeMap::new(),
            reported: Duration::ZERO,
        };
        self.outlets.insert(pipe, outlet);
        Ok(end)
    }

    pub fn connect_outlet(&mut self, pipe: PipeId, to: &PipeEnd) -> Result<(), MediaError> {
        self.alive()?;
        let outlet = self.outlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        outlet.to.get_or_insert((to.ip, to.port));
        Ok(())
    }

    pub fn send(&mut self, pipe: PipeId, id: ProducerId) -> Result<Piped, MediaError> {
        self.alive()?;
        let producer = self.producer(id);
        let outlet = self.outlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        let (codec, paused) = producer.ok_or(MediaError::UnknownProducer)?;
        // A consumer has an SSRC of its own.
        self.ssrcs += 1;
        let ssrc = *outlet.sends.entry(id).or_insert(self.ssrcs);
        Ok(Piped { id, carried: codec.carried(ssrc), paused })
    }

    pub fn open_inlet(&mut self, pipe: PipeId, end: PipeEnd) -> Result<PipeEnd, MediaError> {
        self.alive()?;
        if let Some(inlet) = self.inlets.get(&pipe) {
            return Ok(inlet.end.clone());
        }
        let (producers, report_at) = (BTreeMap::new(), Duration::ZERO);
        let inlet = Inlet {
            end: end.clone(),
            from: None,
            producers,
            bytes: 0,
            bitrate: 0,
            report_at,
            association: Association::default(),
        };
        self.inlets.insert(pipe, inlet);
        Ok(end)
    }

    pub fn connect_inlet(&mut self, pipe: PipeId, from: &PipeEnd) -> Result<(), MediaError> {
        self.alive()?;
        let inlet = self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        inlet.from.get_or_insert((from.ip, from.port));
        Ok(())
    }

    pub fn receive(
        &mut self,
        request: &CreatePipeProducer,
        codecs: &[MimeTypeVideo],
    ) -> Result<ProducerInfo, MediaError> {
        self.alive()?;
        let (pipe, id) = (request.pipe_id, request.id);
        let inlet = self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        let (codec, ssrc) = Codec::of(&request.carried());
        if let Codec::Video(video) = codec
            && !codecs.contains(&video)
        {
            return Err(MediaError::Unsupported(format!("no {}", codec.name())));
        }
        let new = Received { codec, paused: request.paused, ssrc, bytes: 0, arrived: Flow::default() };
        let renewed = inlet.producers.get(&id).is_some_and(|former| former.ssrc != ssrc);
        if renewed {
            inlet.producers.remove(&id);
            self.part(id);
        }
        let inlet = self.inlets.get_mut(&pipe).ok_or(MediaError::UnknownPipe)?;
        let received = inlet.producers.entry(id).or_insert(new);
        received.paused = request.paused;
        self.current.entry(id).or_insert(pipe);
        Ok(info(id, codec, request.paused))
    }

    /// From now on these producers are what comes by this pipe.
    pub fn switch(&mut self, pipe: PipeId, ids: &[ProducerId]) {
        for id in ids {
            if self.current.insert(*id, pipe) != Some(pipe) {
                self.part(*id);
            }
        }
    }

    /// Pipes that send what a producer was so far do so for a moment yet.
    fn part(&mut self, id: ProducerId) {
        // Messages go on as they did.
        if self.producer(id).is_some_and(|(codec, _)| codec == Codec::Messages) {
            return;
        }
        for outlet in self.outlets.values_mut() {
            outlet.sends.remove(&id);
        }
    }

    pub fn stop_receiving(&mut self, pipe: PipeId, id: ProducerId) {
        if let Some(ended) = self.inlets.get_mut(&pipe).and_then(|inlet| inlet.producers.remove(&id)) {
            self.ends(pipe, id, ended.codec);
        }
    }

    pub fn close_inlet(&mut self, pipe: PipeId) {
        if let Some(inlet) = self.inlets.remove(&pipe) {
            inlet.producers.into_iter().for_each(|(id, ended)| self.ends(pipe, id, ended.codec));
        }
    }

    /// What came by a pipe is over: another that brings it takes its place.
    fn ends(&mut self, pipe: PipeId, id: ProducerId, codec: Codec) {
        if self.current.get(&id) != Some(&pipe) {
            return;
        }
        self.current.remove(&id);
        if codec != Codec::Messages {
            self.forget(id);
        }
        let other = self.inlets.iter().find(|(_, inlet)| inlet.producers.contains_key(&id));
        if let Some(other) = other.map(|(other, _)| *other) {
            self.current.insert(id, other);
        }
    }

    fn forget(&mut self, id: ProducerId) {
        for viewer in self.viewers.values_mut() {
            viewer.shows.retain(|shown| *shown != id);
        }
        for receiver in self.receivers.values_mut() {
            receiver.consumers.retain(|_, of| *of != id);
        }
        for outlet in self.outlets.values_mut() {
            outlet.sends.remove(&id);
        }
    }

    pub fn measure(&self) -> Measured {
        let mut measured = Measured::default();
        if self.dead {
            return measured;
        }
        // Audio and video, each with a key frame all the time.
        let brought =
            |bytes: u64| ProducerFlow { bytes, key_frames: bytes / VIDEO, ..ProducerFlow::default() };
        for (session, uplink) in &self.uplinks {
            let passing = SessionFlow { received: uplink.received, sent: 0 };
            measured.sessions.insert(*session, passing);
            let bytes = UplinkFlow { bytes: uplink.bytes, bitrate: uplink.bitrate, ..UplinkFlow::default() };
            measured.uplinks.insert(*session, bytes);
            measured.producers.extend(uplink.producers.iter().map(|own| (own.id, brought(own.bytes))));
        }
        for (session, viewer) in &self.viewers {
            let passing = SessionFlow { received: viewer.received, sent: viewer.bytes };
            measured.sessions.insert(*session, passing);
        }
        for (pipe, outlet) in &self.outlets {
            let flow = PipeFlow {
                bytes_received: outlet.reports,
                bytes_sent: outlet.bytes,
                bitrate: outlet.bitrate,
                ..PipeFlow::default()
            };
            measured.outlets.insert(*pipe, flow);
        }
        for (pipe, inlet) in &self.inlets {
            let flow = PipeFlow {
                bytes_received: inlet.bytes,
                bitrate: inlet.bitrate,
                associated: inlet.association.is_there(),
                ..PipeFlow::default()
            };
            measured.inlets.insert(*pipe, flow);
            for (id, received) in &inlet.producers {
                let flow = brought(received.bytes);
                match self.current.get(id) == Some(pipe) {
                    true => drop(measured.producers.insert(*id, flow)),
                    false => drop(measured.coming.insert((*pipe, *id), flow)),
                }
            }
        }
        measured
    }

    pub fn still(&mut self) {
        self.uplinks.values_mut().for_each(|uplink| uplink.bitrate = 0);
        self.outlets.values_mut().for_each(|outlet| outlet.bitrate = 0);
        self.inlets.values_mut().for_each(|inlet| inlet.bitrate = 0);
    }
}
