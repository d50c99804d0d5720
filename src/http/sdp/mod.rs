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
mod lines;
mod offer;
mod publish;
mod watch;

#[cfg(test)]
mod tests;

pub use answer::LocalTransport;
pub use counter::{CounterAnswer, counter_answer, counter_offer};
pub use description::Description;
pub use error::SdpError;
pub use fragment::{Fragment, restart_fragment};
pub use publish::{answer_publish, publish_media, scale};
pub use watch::{answer_watch, watch_media, watched_names};
