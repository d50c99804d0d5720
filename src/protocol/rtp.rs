//! The RTP vocabulary that messages carry: mediasoup's own plain types, which need no worker.

pub use mediasoup_types::data_structures::{
    DtlsFingerprint, DtlsParameters, DtlsRole, IceCandidate, IceCandidateTcpType, IceCandidateType,
    IceParameters, Protocol,
};
pub use mediasoup_types::rtp_parameters::*;
pub use mediasoup_types::scalability_modes::ScalabilityMode;
pub use mediasoup_types::srtp_parameters::{SrtpCryptoSuite, SrtpParameters};

/// What an application attaches to a producer: any JSON object.
pub type AppDataJson = serde_json::Map<String, serde_json::Value>;
