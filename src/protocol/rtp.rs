//! The RTP vocabulary that messages carry: mediasoup's own plain types, which need no worker.

pub use mediasoup_types::data_structures::{
    DtlsFingerprint, DtlsParameters, DtlsRole, IceCandidate, IceCandidateTcpType, IceCandidateType,
    IceParameters, Protocol,
};
pub use mediasoup_types::rtp_parameters::*;
pub use mediasoup_types::scalability_modes::ScalabilityMode;
pub use mediasoup_types::sctp_parameters::{SctpParameters, SctpStreamParameters};
pub use mediasoup_types::srtp_parameters::{SrtpCryptoSuite, SrtpParameters};

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What an application attaches to a producer: any JSON object.
pub type AppDataJson = serde_json::Map<String, serde_json::Value>;

/// The same where many are kept, most of them empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AppDataJson", into = "AppDataJson")]
pub struct AppData(Option<Box<AppDataJson>>);

impl AppData {
    /// Whether nothing is attached.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What is attached, if anything.
    pub fn get(&self) -> Option<&AppDataJson> {
        self.0.as_deref()
    }
}

impl From<AppDataJson> for AppData {
    fn from(json: AppDataJson) -> Self {
        Self((!json.is_empty()).then(|| Box::new(json)))
    }
}

impl From<AppData> for AppDataJson {
    fn from(data: AppData) -> Self {
        data.0.map(|json| *json).unwrap_or_default()
    }
}

impl JsonSchema for AppData {
    fn schema_name() -> Cow<'static, str> {
        "AppData".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": true})
    }
}
