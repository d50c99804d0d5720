//! What nodes say to each other: pure data, without tokio, NATS or a mediasoup worker.
//!
//! Every message travels as MessagePack inside a [`codec::Message`] that carries the protocol's
//! version. The subjects they travel on are built and parsed in [`subjects`] alone.

pub mod admission;
pub mod claim;
pub mod codec;
pub mod codec_match;
pub mod data;
pub mod directory;
pub mod drain;
pub mod edge;
pub mod event;
pub mod gate;
pub mod ids;
pub mod media;
pub mod origin;
pub mod presence;
pub mod refusal;
pub mod rights;
pub mod rtc;
pub mod rtp;
pub mod schema;
pub mod session;
pub mod subjects;
