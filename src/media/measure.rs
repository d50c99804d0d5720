//! What flows through a room now.

use std::collections::HashMap;

use crate::protocol::ids::{PipeId, SessionId};

/// A look at a room's media.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// By publisher.
    pub uplinks: HashMap<SessionId, UplinkFlow>,
    /// By pipe that sends.
    pub outlets: HashMap<PipeId, PipeFlow>,
    /// By pipe that receives.
    pub inlets: HashMap<PipeId, PipeFlow>,
}

/// What comes from a publisher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UplinkFlow {
    /// Bytes of media received so far.
    pub bytes: u64,
    /// Bits of media per second.
    pub bitrate: u64,
    /// Key frames that it was asked for so far.
    pub key_frame_requests: u64,
}

/// What flows through one end of a pipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PipeFlow {
    /// Bytes received so far: media at an inlet, reports (RTCP) at an outlet.
    pub bytes_received: u64,
    /// Bytes of media sent so far.
    pub bytes_sent: u64,
    /// Bits of media per second, in the pipe's direction.
    pub bitrate: u64,
    /// Packets of media received so far; 0 at an outlet.
    pub packets: u64,
    /// Packets lost on the way so far; 0 at an outlet.
    pub lost: u64,
}

/// What a viewer is sent now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ViewerFlow {
    /// Bits of media per second.
    pub bitrate: u64,
    /// Bits per second that its connection could take; none where the viewer gives no feedback.
    pub estimate: Option<u64>,
    /// The spatial layer of its video, where there are several.
    pub layer: Option<u8>,
}
