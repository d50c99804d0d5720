//! Between SDP and mediasoup's RTP parameters: offers of WHIP (RFC 9725) and WHEP clients, our
//! answers and counter-offers, and the trickle ICE fragments that follow.
//!
//! Everything here is pure: text and parameters in, text and parameters out.

mod answer;
mod codecs;
mod counter;
mod description;
mod encodings;
mod error;
mod extensions;
mod fragment;
mod offer;
mod publish;
mod watch;

#[cfg(test)]
mod tests;

pub use answer::LocalTransport;
pub use counter::{CounterAnswer, SendMedia, counter_answer, counter_offer};
pub use description::Description;
pub use error::SdpError;
pub use fragment::{Fragment, restart_fragment};
pub use publish::{PublishMedia, answer_publish, publish_media};
pub use watch::{WatchMedia, answer_watch, watch_media};
